/**
 * Bugs of nova's history that none of the releases modelled has any more, or not yet: a deployment file may ask for them (`bugs`), and the reference then does as
 * nova did before they were mended. By the ids of scenarios/regressions, which names the change that mended each.
 */
export const BUGS = [
  'A1',
  'A2',
  'A12',
  'A13',
  'A15',
  'A17',
  'A18',
  'A19',
  'A22',
  'B1',
  'B8',
  'C1',
  'D2',
  'D3',
  'D7',
  'D10',
  'D11',
  'D19',
  'D21',
  'D22',
  'D23',
  'D24',
  'D27',
  'D29',
  'E4',
  'E6',
  'F6',
] as const;

export type Bug = (typeof BUGS)[number];
