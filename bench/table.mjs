// Lines of JSON in, one for each measurement; the same as a table out.
import { readFileSync } from 'node:fs';

const measured = readFileSync(0, 'utf8').split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
const rows = measured.map(({ what, shape = '', ...figures }) => [
  what,
  shape,
  Object.entries(figures).map(([name, figure]) => `${name.replaceAll('_', ' ')} ${[figure].flat().join(' / ')}`).join(', '),
]);
const widths = [0, 1].map((column) => Math.max(0, ...rows.map((row) => row[column].length)));
for (const [what, shape, figures] of rows) console.log(`${what.padEnd(widths[0])}  ${shape.padEnd(widths[1])}  ${figures}`);
if (rows.length === 0) process.exitCode = 1;
