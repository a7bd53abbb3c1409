// Curves as SVG: the cases whose contenders are numbers (scaling, axes), the number along the x axis, the median upwards, and
// the spread of the rounds as a bar.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from './output.js';
import type { Result } from './results.js';

const WIDTH = 480;
const HEIGHT = 280;
const LEFT = 56;
const RIGHT = 16;
const TOP = 34;
const BOTTOM = 44;
const GRID_LINES = 4;

interface Point {
  readonly x: number;
  readonly result: Result;
}

const numberIn = (text: string): number => Number(/\d+/.exec(text)?.[0] ?? Number.NaN);
const nounOf = (text: string): string => text.replace(/\d+/, '').trim();
const one = (value: number): string => value.toFixed(1);

/** A round number above `value`: 1, 2 or 5 times a power of ten. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10);
}

function draw(points: readonly Point[]): string {
  const [{ result: first }] = points;
  const top = roundUp(Math.max(...points.map(({ result }) => result.max)));
  // Numbers double from point to point, more or less: a logarithmic axis.
  const low = Math.log2(points[0].x);
  const high = Math.log2(points[points.length - 1].x);
  const xOf = (x: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * (Math.log2(x) - low)) / (high - low);
  const yOf = (y: number): number => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * y) / top;
  const text = (x: number, y: number, anchor: string, content: string): string =>
    `<text x="${one(x)}" y="${one(y)}" text-anchor="${anchor}">${content}</text>`;
  const grid = Array.from({ length: GRID_LINES + 1 }, (_, i) => {
    const value = (top * i) / GRID_LINES;
    const y = one(yOf(value));
    const line = `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}" stroke="#ddd"/>`;
    return line + text(LEFT - 6, yOf(value) + 4, 'end', String(value));
  });
  const marks = points.map(({ x, result: { median, min, max } }) => {
    const at = one(xOf(x));
    const bar = `<line x1="${at}" x2="${at}" y1="${one(yOf(min))}" y2="${one(yOf(max))}" stroke="#1565c0"/>`;
    const dot = `<circle cx="${at}" cy="${one(yOf(median))}" r="3" fill="#1565c0"/>`;
    return bar + dot + text(xOf(x), HEIGHT - BOTTOM + 16, 'middle', String(x));
  });
  const line = points.map(({ x, result }) => `${one(xOf(x))},${one(yOf(result.median))}`).join(' ');
  const title = `${first.suite}: ${first.case}, ${first.unit}${first.disturbed ? ' (disturbed)' : ''}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="11">`,
    `<title>${title}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(LEFT, 18, 'start', title),
    ...grid,
    `<polyline points="${line}" fill="none" stroke="#1565c0" stroke-width="1.5"/>`,
    ...marks,
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, 'middle', nounOf(points[points.length - 1].result.contender)),
    '</svg>',
    '',
  ].join('\n');
}

/** Suites whose cases are curves. */
export const CURVES: readonly string[] = ['scaling', 'axes'];

/** Writes a file for each case that is a curve, and makes the folder for them; returns their paths. */
export function drawCurves(results: readonly Result[], folder: string): string[] {
  const cases = new Map<string, Point[]>();
  for (const result of results) {
    const x = numberIn(result.contender);
    if (!CURVES.includes(result.suite) || Number.isNaN(x)) continue;
    const key = `${result.suite}-${result.case}`;
    cases.set(key, [...(cases.get(key) ?? []), { x, result }]);
  }
  return [...cases].flatMap(([key, points]) => {
    if (points.length < 2) return [];
    mkdirSync(folder, { recursive: true });
    const path = join(folder, `${key}.svg`);
    writeWhole(path, draw(points));
    return [path];
  });
}
