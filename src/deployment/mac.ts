/** Ethernet addresses of instances that nobody wrote down: stable, so that the same file always describes the same frames. */
import { printMac, type Mac } from '../address/mac.ts';

/** An instance's interface: nova's prefix fa:16:3e (nova/utils.py generate_mac_address), then `value` where nova draws at random. */
export const instanceMac = (value: number): Mac =>
  printMac([0xfa, 0x16, 0x3e, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);

/** The tap device of an instance's interface: libvirt gives it the instance's MAC with the first octet fe (virnetdevtap.c). */
export const tapMac = (mac: Mac): Mac => (mac.startsWith('fe') ? `fa${mac.slice(2)}` : `fe${mac.slice(2)}`);
