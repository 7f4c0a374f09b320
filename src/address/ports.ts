/** Port ranges, as iptables writes them: `22`, `1000:2000`, `:22`, `23:`. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

export const ANY_PORT: PortRange = { from: 0, to: 65535 };

export const portRangeContains = (range: PortRange, port: number): boolean => range.from <= port && port <= range.to;

/** `22` or `1000:2000`; `separator` is `-` where iptables writes it so (NAT ranges). */
export const printPortRange = (range: PortRange, separator = ':'): string =>
  range.from === range.to ? `${range.from}` : `${range.from}${separator}${range.to}`;
