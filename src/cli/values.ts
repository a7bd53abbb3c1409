// Values of options: how they are written, and what is told of bad ones.

import { InvalidArgumentError, Option } from 'commander';
import { abi, type PollingOptions } from '../index.js';
import type { AddressRange, MacRange, PortConfig } from './programs/options.js';

/** Bytes of the smallest Ethernet frame without CRC, and the largest length that a slot can hold. */
export const MIN_SIZE = 60;
const MAX_SIZE = 65535;
export const MAX_BURST = 8192;
const DEFAULT_PORT = 1234;

export const bad = (what: string): Error => new InvalidArgumentError(what);

/** A whole number within a range. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw bad(`It must be a whole number, ${min} to ${max}.`);
  };
}

export function seconds(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+(\.\d+)?$/.test(text) && value >= min && value <= 1e6) return value;
    throw bad(`It must be a number of seconds, at least ${min}.`);
  };
}

export function frameSize(text: string): number {
  const size = Number(text);
  if (/^\d+$/.test(text) && size >= MIN_SIZE && size <= MAX_SIZE) return size;
  throw bad(`A frame has ${MIN_SIZE} to ${MAX_SIZE} bytes, and must fit a buffer.`);
}

/** Six pairs of hexadecimal digits. @returns six bytes */
export function parseMac(text: string): number[] {
  if (!/^[\da-f]{1,2}(:[\da-f]{1,2}){5}$/i.test(text))
    throw bad('It must be a MAC address, such as 02:00:00:00:00:01.');
  return text.split(':').map((byte) => Number.parseInt(byte, 16));
}

/** `mac[-mac]`: the addresses from the first to the last one, as 48-bit numbers. */
export function parseMacRange(text: string): MacRange {
  const ends = text.split('-');
  if (ends.length > 2) throw bad('It must be mac[-mac].');
  const [first, last = first] = ends.map((mac) => parseMac(mac).reduce((n, byte) => n * 256 + byte, 0));
  if (last < first) throw bad('The first address of a range is not above the last one.');
  return { first, last };
}

/** netmap's port configuration, `tx_slots[,rx_slots[,tx_rings[,rx_rings]]]`; what is missing is as the one before. */
export function parsePortConfig(text: string): PortConfig {
  const counts = text.split(',').map(integer(0, 65536));
  if (counts.length > 4) throw bad('It must be tx_slots[,rx_slots[,tx_rings[,rx_rings]]].');
  const [txSlots, rxSlots = txSlots, txRings, rxRings = txRings] = counts;
  return { txSlots, rxSlots, ...(txRings === undefined ? {} : { txRings, rxRings }) };
}

/** vale-ctl's polling: `0,cpu` has one thread poll all rings, `1,cpu[,count]` has threads poll the rings of their numbers. */
export function parsePolling(text: string): PollingOptions {
  const [which, firstCpu, cpus = 1, ...more] = text.split(',').map(integer(0, 65535));
  if (firstCpu === undefined || which > 1 || more.length > 0) throw bad('It must be 0,CPU or 1,CPU[,COUNT].');
  const mode = which === 0 ? abi.NETMAP_POLLING_MODE_SINGLE_CPU : abi.NETMAP_POLLING_MODE_MULTI_CPU;
  return { mode, firstCpu, cpus };
}

function parseIp(text: string): number {
  const bytes = text.split('.').map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : 256));
  if (bytes.length !== 4 || bytes.some((byte) => byte > 255)) throw bad(`'${text}' is not an IPv4 address.`);
  return ((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) >>> 0;
}

function parsePort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 0xffff) return Number(text);
  throw bad(`'${text}' is not a UDP port.`);
}

/** netmap's form of a range: `ip[:port[-ip:port]]`; the port is 1234 by default, the second one the first. */
export function parseRange(text: string): AddressRange {
  const [first, last, ...more] = text.split('-').map((end) => end.split(':'));
  if (more.length > 0 || first.length > 2 || (last?.length ?? 0) > 2) throw bad('It must be ip[:port[-ip:port]].');
  const ip = parseIp(first[0]);
  const port = first.length === 2 ? parsePort(first[1]) : DEFAULT_PORT;
  const otherIp = last ? parseIp(last[0]) : ip;
  const otherPort = last?.length === 2 ? parsePort(last[1]) : port;
  return {
    firstIp: Math.min(ip, otherIp),
    lastIp: Math.max(ip, otherIp),
    firstPort: Math.min(port, otherPort),
    lastPort: Math.max(port, otherPort),
  };
}

/** `-i`, which may be given several times. */
export const portOption = (description: string): Option =>
  new Option('-i <port>', description).argParser((port: string, previous: string[] | undefined) => [
    ...(previous ?? []),
    port,
  ]);
