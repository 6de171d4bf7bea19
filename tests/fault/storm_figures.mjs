// The figures of storms from their results, one object a seed: which fault was injected how often, in how many seeds, and how
// these ended.
const total = (results, pick) => results.reduce((sum, result) => sum + (pick(result) ?? 0), 0);
const failed = (results) => results.filter((result) => result.problems.length > 0);

export const names = (counts) => Object.entries(counts).map(([name, n]) => (n > 1 ? `${n} × ${name}` : name)).join(', ');

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

export function faultRows(results) {
  const faults = [...new Set(results.flatMap((result) => Object.keys(result.faults)))].sort();
  return faults.map((name) => {
    const seeds = results.filter((result) => name in result.faults);
    return { name, injected: total(seeds, (result) => result.faults[name]), seeds: seeds.length, failed: failed(seeds).length };
  });
}

function kinds(results) {
  const count = (condition) => results.filter(condition).length;
  return [
    `${count((result) => !result.mayLose)} kept the snapshot by a worker without slots, ${count((result) => result.mayLose)} might lose it and ` +
      `${count((result) => result.endings['snapshot lost'] > 0)} did`,
    `${count((result) => result.writes)} were written to all the time: ${total(results, (result) => result.changes)} changes were seen by the snapshots`,
    `${count((result) => result.standby)} had a stand-by; ${total(results, (result) => (result.leaders ?? 1) - 1)} times another coordinator took the lead`,
    `${total(results, (result) => result.ranges)} ranges in ${total(results, (result) => result.attempts)} attempts, ` +
      `${total(results, (result) => result.rows)} rows; ${median(results.map((result) => result.seconds))} s in the middle, ` +
      `${Math.max(...results.map((result) => result.seconds))} s at most`,
  ];
}

// Lines for a person to read.
export function figures(results) {
  const endings = {};
  for (const result of results) for (const [name, n] of Object.entries(result.endings)) endings[name] = (endings[name] ?? 0) + n;
  return [
    `${'fault'.padEnd(22)} injected  seeds  of these failed`,
    ...faultRows(results).map((row) => `${row.name.padEnd(22)} ${String(row.injected).padStart(8)} ${String(row.seeds).padStart(6)} ${String(row.failed).padStart(16)}`),
    '',
    ...kinds(results),
    `ended by itself: ${names(endings) || 'nobody'}`,
    `${results.length - failed(results).length} of ${results.length} seeds ended with equal data`,
  ];
}
