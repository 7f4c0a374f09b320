/** Cost against size, both logarithmic, as an SVG that can stand in a document. */

export interface Line {
  readonly name: string;
  /** Size and seconds. */
  readonly points: readonly (readonly [number, number])[];
}

const [WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM] = [760, 440, 70, 20, 210, 50];
const COLOURS = ['#1b6ca8', '#c0392b', '#1e8449', '#7d3c98', '#b9770e', '#34495e', '#d35400', '#148f77'];

const shownSeconds = (power: number): string =>
  power >= 0 ? `${10 ** power} s` : power >= -3 ? `${10 ** (power + 3)} ms` : `${10 ** (power + 6)} µs`;

export function plot(lines: readonly Line[], title: string): string {
  const points = lines.flatMap(({ points: own }) => own);
  const powers = (index: 0 | 1): readonly [number, number] => [
    Math.floor(Math.log10(Math.min(...points.map((point) => point[index])))),
    Math.ceil(Math.log10(Math.max(...points.map((point) => point[index])))),
  ];
  const [[x0, x1], [y0, y1]] = [powers(0), powers(1)];
  const x = (size: number): number => LEFT + ((Math.log10(size) - x0) / (x1 - x0)) * (WIDTH - LEFT - RIGHT);
  const y = (seconds: number): number =>
    HEIGHT - BOTTOM - ((Math.log10(seconds) - y0) / (y1 - y0)) * (HEIGHT - TOP - BOTTOM);
  const at = (value: number): string => value.toFixed(1);
  const parts: string[] = [];
  for (let power = x0; power <= x1; power++)
    parts.push(
      `<path d="M${at(x(10 ** power))} ${TOP}V${HEIGHT - BOTTOM}" stroke="#ddd"/>`,
      `<text x="${at(x(10 ** power))}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${(10 ** power).toLocaleString('en')}</text>`,
    );
  for (let power = y0; power <= y1; power++)
    parts.push(
      `<path d="M${LEFT} ${at(y(10 ** power))}H${WIDTH - RIGHT}" stroke="#ddd"/>`,
      `<text x="${LEFT - 8}" y="${at(y(10 ** power) + 4)}" text-anchor="end">${shownSeconds(power)}</text>`,
    );
  for (const [index, { name, points: own }] of lines.entries()) {
    const colour = COLOURS[index % COLOURS.length] ?? '#000';
    const path = own.map(([size, seconds]) => `${at(x(size))} ${at(y(seconds))}`).join('L');
    parts.push(`<path d="M${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const [size, seconds] of own)
      parts.push(`<circle cx="${at(x(size))}" cy="${at(y(seconds))}" r="3" fill="${colour}"/>`);
    parts.push(`<text x="${WIDTH - RIGHT + 12}" y="${TOP + 14 + 20 * index}" fill="${colour}">${name}</text>`);
  }
  parts.push(`<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">rules</text>`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${title}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}
