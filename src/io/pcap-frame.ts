// Captured frames and the interfaces that they were captured at, in whatever format.

/** One captured frame. */
export interface PcapFrame {
  /** The captured bytes. */
  readonly data: Uint8Array;
  /** Time stamp: whole seconds since 1970-01-01 UTC, 0 to 2^32 - 1. */
  readonly seconds: number;
  /** Time stamp: nanoseconds within the second. */
  readonly nanoseconds: number;
  /** Bytes that the frame had on the wire; more than `data` holds if the capture cut it. */
  readonly originalLength: number;
}

/** What an interface has counted, as the last of its statistics blocks says; what is not said is not there. */
export interface CaptureStatistics {
  /** Packets that have come to the interface (isb_ifrecv). */
  readonly received?: number;
  /** Packets that the interface had no room for (isb_ifdrop). */
  readonly dropped?: number;
}

/** An interface of a pcapng file, or the only one of a pcap file. */
export interface CaptureInterface {
  /** if_name; '' in a pcap file, and where there is none. */
  readonly name: string;
  /** `LINKTYPE_*` number; 1 is Ethernet. */
  readonly linkType: number;
  /** Whether its time stamps are finer than microseconds. */
  readonly nanosecond: boolean;
  readonly statistics: CaptureStatistics;
}

/** Whether a frame was received by its interface or sent by it. */
export type CaptureDirection = 'in' | 'out';

/** A frame of a capture, as it is read. */
export interface CapturedFrame extends PcapFrame {
  readonly interface: CaptureInterface;
  /** As far as the file says so. */
  readonly direction?: CaptureDirection;
}

/** Formats of capture files. */
export type CaptureFormat = 'pcap' | 'pcapng';

export const LINKTYPE_ETHERNET = 1;
