// "Did you mean …": the known name nearest to a mistyped one. Pure. Used for flags, keys of files and verbs.

/** Edits (insert, delete, replace, swap of neighbours) between two names: optimal string alignment distance. */
function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let best = Math.min(current[column - 1]! + 1, previous[column]! + 1, previous[column - 1]! + (same ? 0 : 1));
      if (row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]) {
        best = Math.min(best, beforePrevious[column - 2]! + 1);
      }
      current.push(best);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[to.length]!;
}

/** Longer words are not names that somebody mistyped, and would cost quadratic time. */
const MAX_LENGTH = 64;

/** A shorter part of a name says too little. */
const MIN_PART = 3;

/**
 * The candidate with the fewest edits, if these are at most a third of the name; else the only one that the name is a part
 * of (`drain-duration` of `termination-drain-duration`). Case does not count.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length > MAX_LENGTH) return undefined;
  let best: string | undefined;
  let fewest = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    const edits = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (edits < fewest) [best, fewest] = [candidate, edits];
  }
  if (best !== undefined || name.length < MIN_PART) return best;
  const [whole, another] = [...candidates].filter((candidate) => candidate.toLowerCase().includes(name.toLowerCase()));
  return another === undefined ? whole : undefined;
}

/** `; did you mean NAME?`, or nothing. `show` writes the candidate as the user would type it. */
export function suggestion(
  name: string,
  candidates: Iterable<string>,
  show = (candidate: string) => candidate,
): string {
  const found = nearest(name, candidates);
  return found === undefined ? "" : `; did you mean ${show(found)}?`;
}
