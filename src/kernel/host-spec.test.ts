import { expect, test } from 'vitest';
import { readHost } from '../host/read.ts';
import { hostSpec } from './host-spec.ts';

test('of a host file only the sysctls that the model asks for reach a namespace', () => {
  const sysctl = {
    'net.ipv4.ip_forward': 0,
    'net.ipv4.conf.eth0.100.rp_filter': 1,
    'kernel.panic': 1,
    'net/../kernel/panic': 1,
    'net.ipv4.conf.../../../kernel.rp_filter': 1,
    'net.core.somaxconn': 1,
  };
  const host = readHost(JSON.stringify({ name: 'host1', interfaces: [{ name: 'eth0.100' }], sysctl }), 'host.yaml');
  const names = Object.keys(hostSpec(host).sysctl);
  expect(names).toContain('net.ipv4.conf.eth0.100.rp_filter');
  expect(hostSpec(host).sysctl['net.ipv4.ip_forward']).toBe(0);
  expect(names.filter((name) => name.includes('/') || /panic|core/.test(name))).toEqual([]);
});
