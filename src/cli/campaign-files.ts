/** The files of `npm run kernel`: reports of campaigns, and recorded cases. */
import { hostOfRecorded, type RecordedHost } from '../arbitrary/host.ts';
import { REPORT, type Report } from '../kernel/campaign-report.ts';
import type { Case } from '../kernel/compare.ts';
import { replayed, type RecordedCase, type RecordedFile } from '../kernel/recording.ts';
import { FileError, nodeIo } from './io.ts';

/** Runs what may find something wrong with a file, or with a part of it. */
function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new FileError(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readJson(file: string): object {
  const text = nodeIo.readFile(file).toString();
  const read: unknown = reading(file, () => JSON.parse(text) as unknown);
  return typeof read === 'object' && read !== null ? read : {};
}

/** A report that `--report` has written. Throws FileError. */
export function readReport(file: string): Report<RecordedHost> {
  const read = readJson(file);
  if (!('schema' in read) || read.schema !== REPORT)
    throw new FileError(`${file} is no report of a campaign: its schema is not ${REPORT}`);
  return read as unknown as Report<RecordedHost>;
}

/** What every recorded case has. */
const PARTS = ['host', 'backend', 'texts', 'moves', 'runs'] as const;

/** The cases that `--record` has written, and the same to be played again. Throws FileError. */
export function readRecording(
  file: string,
): readonly { readonly one: RecordedCase<RecordedHost>; readonly given: Case }[] {
  const read = readJson(file);
  if (!('cases' in read) || !Array.isArray(read.cases))
    throw new FileError(`${file} is no recording of cases: it has no list of them`);
  const cases = read.cases as RecordedFile<RecordedHost>['cases'];
  return cases.map((one, index) => ({
    one,
    given: reading(`${file}: case ${index + 1} of ${cases.length}`, () => {
      const missing = PARTS.filter((part) => !Object.hasOwn(Object(one) as object, part));
      if (missing.length > 0) throw new Error(`it has no ${missing.join(', ')}`);
      return replayed(one, hostOfRecorded).given;
    }),
  }));
}
