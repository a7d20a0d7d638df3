// One text for all ways of writing the same rule, to compare what was planned with what iptables-save prints. Pure.
// The kernel masks addresses, and iptables-save reorders matches and names modules that are implied.
import { maskedCidr } from "./cidr.ts";

/** Loaded by `-p` itself: iptables-save names them, the plan need not. */
const IMPLIED_MODULES = new Set(["tcp", "udp"]);
/** Matches everything: iptables-save leaves it out. */
const ANY_ADDRESS = new Set(["0.0.0.0/0", "::/0"]);
const ANY_INTERFACE = "+";

/** `words` is a rule after its chain. Equal texts mean equal rules, for the matches and targets of our plan. */
export function normalForm(words: readonly string[]): string {
  const at = words.findIndex((word) => word === "-j" || word === "-g");
  const matchWords = at < 0 ? words : words.slice(0, at);
  const target = at < 0 ? [] : words.slice(at);
  return [...options(matchWords).flatMap(normalOption).sort(), target.join(" ")].join(" ").trim();
}

interface Option {
  readonly negated: boolean;
  readonly name: string;
  readonly values: readonly string[];
}

function options(words: readonly string[]): Option[] {
  const found: { negated: boolean; name: string; values: string[] }[] = [];
  let negated = false;
  for (const word of words) {
    if (word === "!") negated = true;
    else if (word.startsWith("-")) {
      found.push({ negated, name: word, values: [] });
      negated = false;
    } else found.at(-1)?.values.push(word);
  }
  return found;
}

/** The option's text, or nothing when iptables-save would not print it. */
function normalOption({ negated, name, values }: Option): string[] {
  const value = values.join(" ");
  const text = (shown: string) => [`${negated ? "! " : ""}${name} ${shown}`];
  if (name === "-m" && IMPLIED_MODULES.has(value)) return [];
  if (name === "-s" || name === "-d") {
    const masked = maskedCidr(value);
    return !negated && ANY_ADDRESS.has(masked) ? [] : text(masked);
  }
  if ((name === "-i" || name === "-o") && value === ANY_INTERFACE && !negated) return [];
  return text(value);
}
