/** The envelope of every JSON document: cli.md, "JSON". */
export interface Input {
  readonly path: string;
  readonly sha256: string;
}

export interface Envelope {
  readonly tool: { readonly name: string; readonly version: string };
  readonly inputs: readonly Input[];
  readonly assumptions: readonly string[];
}

/** A whole document as text, with a last newline. Bigints (there are none in a document) would be an error of ours. */
export const printDocument = (kind: string, envelope: Envelope, content: object): string =>
  `${JSON.stringify({ schema: `nfverdict/${kind}-v1`, ...envelope, ...content }, null, 2)}\n`;
