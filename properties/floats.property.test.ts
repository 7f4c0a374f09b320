/** Mistakes in a cloud with many floating IPs: each is found for exactly the packets that it breaks. */
import { expect, test } from 'vitest';
import { cloudFile } from '../bench/clouds.ts';
import { floatMistakes, judgedTwice, misjudged } from '../bench/float-mistakes.ts';
import { readDeployment } from '../src/deployment/read.ts';

const { deployment } = readDeployment(cloudFile(50, 20121122), 'fifty instances');

test.each(floatMistakes(deployment))(
  '$name: no claim is judged wrong, and the packets that break one are all of it',
  (mistake) => {
    expect(misjudged(deployment, mistake)).toEqual([]);
  },
);

test.each(floatMistakes(deployment))(
  '$name: claims that are proved together are judged as each by itself',
  (mistake) => {
    const { joint, single } = judgedTwice(deployment, mistake);
    expect(joint).toEqual(single);
  },
);
