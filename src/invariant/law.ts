/** A law: what nova-network, or its operator, promises of every deployment. Data, not a test: it yields claims. */
import type { Claim } from '../claim/claim.ts';
import type { Deployment, Release } from '../deployment/deployment.ts';
import type { Network } from '../network/network.ts';

export interface Law {
  /** `area/statement-in-kebab-case`. */
  readonly id: string;
  readonly kind: 'packets' | 'ruleset' | 'relation';
  /** Broken promises of the article or of nova are errors; what an operator would want and releases do not give is a warning. */
  readonly severity: 'error' | 'warning';
  /** The law as laws.md states it. */
  readonly statement: string;
  /** The sentence of the article, or the file of nova, that it comes from. */
  readonly source: string;
  /** What it needs of a host or a deployment, in words. */
  readonly requires?: string;
  /** What would break it, in words: which rule to remove or change. */
  readonly brokenBy: string;
  readonly knownFailures: readonly KnownFailure[];
  /** The claims that it makes of this deployment; or why it makes none here. Deterministic: laws draw no random numbers. */
  claims(context: LawContext): Applies;
}

export interface LawContext {
  readonly deployment: Deployment;
  readonly network: Network;
}

export type Applies =
  | { readonly kind: 'claims'; readonly claims: readonly Claim[] }
  | { readonly kind: 'not-applicable'; readonly because: string };

/** A promise that a release really breaks. The marks steer properties and the book of laws, never an exit code. */
export interface KnownFailure {
  readonly releases: readonly Release[] | 'all';
  readonly because: string;
  /** The claims that fail are those whose sentence this matches; absent: any of the law's. */
  readonly where?: (claim: Claim, context: LawContext) => boolean;
}
