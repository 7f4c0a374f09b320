/** Ethernet addresses as lower-case text, `fa:16:3e:00:00:01`. */
export type Mac = string;

export const BROADCAST_MAC: Mac = 'ff:ff:ff:ff:ff:ff';

/** The address of nobody. */
export const ZERO_MAC: Mac = '00:00:00:00:00:00';

/** Reads six hexadecimal octets joined by colons; undefined otherwise. */
export const parseMac = (text: string): Mac | undefined =>
  /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text) ? text.toLowerCase() : undefined;

export const macOctets = (mac: Mac): number[] => mac.split(':').map((octet) => parseInt(octet, 16));

export const printMac = (octets: readonly number[]): Mac =>
  octets.map((octet) => octet.toString(16).padStart(2, '0')).join(':');

/** True for broadcast and multicast addresses: the lowest bit of the first octet. */
export const isGroupMac = (mac: Mac): boolean => (parseInt(mac.slice(0, 2), 16) & 1) === 1;
