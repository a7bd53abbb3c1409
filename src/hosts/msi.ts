// What a local APIC makes of an interrupt message, for emulators of one processor (Intel SDM, volume 3, 11.11).

const APIC_MESSAGES = 0xfee00000;
const MESSAGE_MASK = 0xfff00000;
const LOGICAL_DESTINATION = 4;
const BROADCAST = 0xff;
/** The processor: APIC id 0, and bit 0 of the logical ids. */
const APIC_ID = 0;
const LOGICAL_ID = 1;
const FIXED = 0;
const LOWEST_PRIORITY = 1;
/** Vectors below are the processor's own. */
const FIRST_VECTOR = 16;

/**
 * Calls `deliver` with the vector of a message.
 * @returns false: it is no message for this processor's APIC, or not of a kind that a device sends
 */
export function deliverMsi(address: number, data: number, deliver: (vector: number) => void): boolean {
  if (address >= 2 ** 32 || (address & MESSAGE_MASK) >>> 0 !== APIC_MESSAGES) return false;
  const destination = (address >>> 12) & 0xff;
  const mine = address & LOGICAL_DESTINATION ? (destination & LOGICAL_ID) !== 0 : destination === APIC_ID;
  if (!mine && destination !== BROADCAST) return false;
  const mode = (data >>> 8) & 7;
  const vector = data & 0xff;
  if ((mode !== FIXED && mode !== LOWEST_PRIORITY) || vector < FIRST_VECTOR) return false;
  deliver(vector);
  return true;
}
