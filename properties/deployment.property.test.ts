/** The laws of deployments: whatever the generator makes is a network, and the reference writes rulesets for it. */
import { expect } from 'vitest';
import { deploymentArb, deploymentFileArb } from '../src/arbitrary/deployment.ts';
import type { Deployment } from '../src/deployment/deployment.ts';
import { hostOfFloatingIp, instancesOn } from '../src/deployment/placement.ts';
import { deploymentOf, readDeployment } from '../src/deployment/read.ts';
import { networkOf } from '../src/deployment/world.ts';
import { rulesetTextFor } from '../src/nova/ruleset.ts';
import { readRuleset } from '../src/ruleset/parse.ts';
import { printRuleset } from '../src/ruleset/print.ts';
import { law } from './support/law.ts';

const serving = (deployment: Deployment): boolean =>
  deployment.floatingIps.some((floatingIp) => hostOfFloatingIp(deployment, floatingIp) !== undefined);

law(
  'deployment/printed-file-reads-back',
  [deploymentFileArb()],
  (file) => {
    const text = JSON.stringify(file);
    const { deployment } = readDeployment(text, 'd');
    expect(deployment).toEqual(deploymentOf(file, 'd').deployment);
  },
  { runs: 40 },
);

law(
  'deployment/describes-a-network',
  [deploymentArb()],
  (deployment) => {
    const network = networkOf(deployment);
    const plugged = network.links.flatMap(({ attachments }) =>
      attachments.map((end) => `${end.host} ${end.interface}`),
    );
    expect(new Set(plugged).size).toBe(plugged.length);
    for (const host of network.hosts) {
      const devices = host.interfaces.map(({ name }) => name);
      const ports = host.bridges.flatMap((bridge) => bridge.ports.map(({ name }) => name));
      const names = [...devices, ...ports];
      expect(new Set(names).size).toBe(names.length);
      for (const { dev } of host.routes) expect(devices).toContain(dev);
      for (const { dev, port } of host.neighbours) {
        expect(devices).toContain(dev);
        const bridge = host.bridges.find(({ name }) => name === dev);
        expect(port !== undefined).toBe(bridge !== undefined);
        if (port !== undefined) expect(ports).toContain(port);
      }
    }
    for (const { attachments } of network.links)
      for (const end of attachments) {
        const host = network.hosts.find(({ name }) => name === end.host);
        const known = [
          ...(host?.interfaces.map(({ name }) => name) ?? []),
          ...(host?.bridges.flatMap((bridge) => bridge.ports.map(({ name }) => name)) ?? []),
        ];
        expect(known).toContain(end.interface);
      }
    // The MAC decides where a frame goes: no two machines, and no port and the machine behind it, share one.
    const macs = [
      ...network.stations.map(({ mac }) => mac),
      ...network.hosts.flatMap(({ bridges }) => bridges.flatMap(({ ports }) => ports.map(({ mac }) => mac))),
    ];
    expect(new Set(macs).size).toBe(macs.length);
  },
  {
    runs: 150,
    cover: {
      'several hosts': { atLeast: 40, when: ({ hosts }) => hosts.length > 1 },
      'several networks': { atLeast: 20, when: ({ networks }) => networks.length > 1 },
      'no network': { atLeast: 5, when: ({ networks }) => networks.length === 0 },
      instances: { atLeast: 60, when: ({ instances }) => instances.length > 0 },
      'an instance with two networks': {
        atLeast: 5,
        when: ({ instances }) => instances.some(({ vifs }) => vifs.length > 1),
      },
      'ten instances': { atLeast: 10, when: ({ instances }) => instances.length >= 10 },
      'a served floating IP': { atLeast: 20, when: serving },
      'a free floating IP': {
        atLeast: 10,
        when: ({ floatingIps }) => floatingIps.some(({ fixedIp }) => fixedIp === undefined),
      },
      multi_host: { atLeast: 10, when: ({ networks }) => networks.some(({ multiHost }) => multiHost) },
      'use_ipv6 with instances': {
        atLeast: 20,
        when: ({ hosts, instances }) => hosts.some(({ flags }) => flags.use_ipv6) && instances.length > 0,
      },
      'a source group with members': {
        atLeast: 5,
        when: ({ securityGroups, instances }) =>
          securityGroups.some(({ rules }) =>
            rules.some(({ group }) => instances.some((instance) => instance.securityGroups.includes(group ?? ''))),
          ),
      },
      'a foreign metadata_host': {
        atLeast: 20,
        when: (deployment) => networkOf(deployment).stations.some(({ kind }) => kind === 'outside'),
      },
      'a public interface on a bridge': {
        atLeast: 5,
        when: ({ hosts, networks }) =>
          hosts.some(({ publicInterface }) =>
            networks.some(({ bridgeInterface }) => bridgeInterface === publicInterface),
          ),
      },
      'an empty public_interface': {
        atLeast: 5,
        when: ({ hosts }) => hosts.some(({ snatInterface }) => snatInterface === undefined),
      },
      'an empty routing_source_ip': {
        atLeast: 5,
        when: ({ hosts }) => hosts.some(({ flags }) => flags.routing_source_ip === undefined),
      },
      'an operator’s policy DROP': {
        atLeast: 10,
        when: ({ hosts }) => hosts.some(({ rules }) => rules.get(4)?.includes('DROP [')),
      },
    },
  },
);

law(
  'nova/writes-what-the-kernel-would-print',
  [deploymentArb()],
  (deployment, seen) => {
    for (const host of deployment.hosts)
      for (const family of [4, 6] as const) {
        const text = rulesetTextFor(deployment, host, family);
        const ruleset = readRuleset(text, { path: host.name, family });
        expect(printRuleset(ruleset)).toBe(text);
        const chains = ruleset.tables.get('filter')?.chains;
        const computes = host.services.includes('nova-compute') && (family === 4 || host.flags.use_ipv6);
        for (const instance of computes ? instancesOn(deployment, host) : []) {
          const chain = chains?.get(`nova-compute-inst-${instance.id}`);
          expect(chain?.rules.at(-1)?.target).toEqual({ kind: 'jump', chain: 'nova-compute-sg-fallback' });
          seen('an instance chain');
        }
      }
  },
  { runs: 60, cover: { 'an instance chain': { atLeast: 40 } } },
);
