// Checks across the proxy's settings, which no single setting can make. Pure.
// An action for the pipe of a schema that has these settings; `{key}` in a message becomes the name the user typed.
import * as v from "valibot";
import type { HostAndPort } from "./units.ts";

/** The settings that are compared. */
interface ListenerSettings {
  readonly inboundPort: number;
  readonly outboundPort: number;
  readonly proxyAdminPort: number;
  readonly statusPort: number;
  readonly healthPort: number;
  readonly prometheusPort: number;
  readonly listen?: HostAndPort | undefined;
  readonly target?: HostAndPort | undefined;
}

const PORT_KEYS = [
  "inboundPort",
  "outboundPort",
  "proxyAdminPort",
  "statusPort",
  "healthPort",
  "prometheusPort",
] as const;

/** What is wrong with the settings together, one sentence each. */
export function listenerProblems(config: ListenerSettings): string[] {
  const problems: string[] = [];
  if (config.listen !== undefined && config.target === undefined) {
    problems.push("{listen} needs --target HOST:PORT, where it forwards to");
  }
  if (config.target !== undefined && config.listen === undefined) {
    problems.push("{target} needs --listen PORT, where requests for it arrive");
  }
  const keyOfPort = new Map<number, string>();
  const ports = [
    ...PORT_KEYS.map((key): [string, number] => [key, config[key]]),
    ...(config.listen === undefined ? [] : [["listen", config.listen.port] as [string, number]]),
  ];
  for (const [key, port] of ports) {
    if (port === 0) continue;
    const other = keyOfPort.get(port);
    if (other === undefined) keyOfPort.set(port, key);
    else problems.push(`{${other}} and {${key}} are both port ${port}; give one another port, or 0 to turn it off`);
  }
  return problems;
}

/** The same for `v.pipe(v.strictObject({ … }), checkListeners())`. */
export function checkListeners<T extends ListenerSettings>() {
  return v.rawCheck<T>(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    for (const message of listenerProblems(dataset.value)) addIssue({ message });
  });
}
