// hot path
// One coarse timer wheel for every deadline of the data path. Shell: it owns the one setTimeout.
// A deadline that moves later costs one store: the entry stays where it is and is looked at again when its slot comes.

const TICK_MS = 25;
const SLOTS = 256;

/** Something with one deadline, kept by a Timers. */
export class Deadline {
  /** Tick at which `fire` is due; 0 when none is set. */
  dueTick = 0;
  /** Tick of the slot it is linked into; 0 when unlinked. */
  linkedTick = 0;
  previous: Deadline | undefined = undefined;
  next: Deadline | undefined = undefined;

  constructor(readonly fire: () => void) {}
}

/** The wheel. While no deadline is set, no timer runs. */
export class Timers {
  readonly #slots: (Deadline | undefined)[] = new Array<Deadline | undefined>(SLOTS).fill(undefined);
  #linked = 0;
  #tick: number;
  #timer: ReturnType<typeof setTimeout> | undefined = undefined;
  #timerTick = Number.POSITIVE_INFINITY;

  /** `now` reads the clock; `eventTime` may give an earlier moment of the same turn, and be cheaper. */
  constructor(
    private readonly now: () => number,
    private readonly eventTime: () => number = now,
  ) {
    this.#tick = Math.floor(now() / TICK_MS);
  }

  /** `deadline.fire` is called `timeoutMs` from now, up to two ticks late; 0 takes it back. */
  set(deadline: Deadline, timeoutMs: number): void {
    if (timeoutMs === 0) {
      deadline.dueTick = 0;
      return;
    }
    const dueTick = Math.floor(this.eventTime() / TICK_MS) + Math.ceil(timeoutMs / TICK_MS) + 1;
    deadline.dueTick = dueTick;
    if (deadline.linkedTick !== 0) {
      if (deadline.linkedTick <= dueTick) return;
      this.#unlink(deadline);
    }
    this.#link(deadline, dueTick);
  }

  /** Forgets the deadline for good. */
  remove(deadline: Deadline): void {
    deadline.dueTick = 0;
    if (deadline.linkedTick !== 0) this.#unlink(deadline);
  }

  #link(deadline: Deadline, dueTick: number): void {
    // An empty wheel stood still: catch up, so that no passed slot is waited for.
    if (this.#linked === 0) this.#tick = Math.floor(this.now() / TICK_MS);
    const linkedTick = Math.max(this.#tick + 1, Math.min(dueTick, this.#tick + SLOTS - 1));
    const slot = linkedTick % SLOTS;
    const first = this.#slots[slot];
    deadline.linkedTick = linkedTick;
    deadline.previous = undefined;
    deadline.next = first;
    if (first !== undefined) first.previous = deadline;
    this.#slots[slot] = deadline;
    this.#linked++;
    if (linkedTick < this.#timerTick) this.#arm(linkedTick);
  }

  #unlink(deadline: Deadline): void {
    if (deadline.previous !== undefined) deadline.previous.next = deadline.next;
    else this.#slots[deadline.linkedTick % SLOTS] = deadline.next;
    if (deadline.next !== undefined) deadline.next.previous = deadline.previous;
    deadline.previous = undefined;
    deadline.next = undefined;
    deadline.linkedTick = 0;
    this.#linked--;
  }

  #arm(tick: number): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timerTick = tick;
    this.#timer = setTimeout(this.#run, Math.max(1, tick * TICK_MS - this.now()));
  }

  readonly #run = (): void => {
    this.#timer = undefined;
    this.#timerTick = Number.POSITIVE_INFINITY;
    const nowTick = Math.floor(this.now() / TICK_MS);
    while (this.#tick < nowTick && this.#linked > 0) {
      this.#tick++;
      this.#runSlot(this.#tick);
    }
    this.#tick = Math.max(this.#tick, nowTick);
    if (this.#linked === 0) return;
    for (let tick = this.#tick + 1; tick < this.#tick + SLOTS; tick++) {
      if (this.#slots[tick % SLOTS] !== undefined) {
        if (tick < this.#timerTick) this.#arm(tick);
        return;
      }
    }
  };

  #runSlot(tick: number): void {
    const slot = tick % SLOTS;
    // Always the first one: firing may unlink or move any of the others.
    for (let deadline = this.#slots[slot]; deadline?.linkedTick === tick; deadline = this.#slots[slot]) {
      const { dueTick } = deadline;
      this.#unlink(deadline);
      if (dueTick > tick) this.#link(deadline, dueTick);
      else if (dueTick !== 0) {
        deadline.dueTick = 0;
        deadline.fire();
      }
    }
  }
}
