// The built programs, and which flags they have by their own --help.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { inRoot } from './project.mjs';

const build = process.env.HYPERSHIFT_BUILD ?? inRoot('build');
export const program = (name) => join(build, name);
export const names = ['hypershift', 'hypershift-coordinator', 'hypershift-worker'];

export function run(command, args = [], options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000, ...options });
  if (result.error) throw result.error;
  return result;
}

for (const name of names) {
  if (!existsSync(program(name))) throw new Error(`${program(name)} is not there: scripts/build, or set HYPERSHIFT_BUILD`);
}

const helps = new Map();
// --help of a program; `subcommand` is of `hypershift` only.
function help(name, subcommand) {
  const key = [name, subcommand].join(' ');
  if (!helps.has(key)) {
    const result = run(program(name), [...(subcommand ? [subcommand] : []), '--help']);
    helps.set(key, result.status === 0 ? result.stdout : '');
  }
  return helps.get(key);
}

const flagsIn = (output) => new Set(output.match(/(?<![\w-])--?[A-Za-z][\w-]*/g) ?? []);

// What is wrong with a command's words (without values): each unknown flag or subcommand, in one line.
export function unknownFlags(name, words) {
  let subcommand = '';
  if (name === 'hypershift' && /^[a-z]/.test(words[0] ?? '')) {
    subcommand = words[0];
    const listed = help('hypershift').split('Subcommands:')[1]?.match(/^ {2}[a-z][\w-]*/gm) ?? [];
    if (subcommand !== 'worker' && !listed.includes(`  ${subcommand}`)) return [`hypershift ${subcommand}: no such command`];
  }
  const known = flagsIn(subcommand === 'worker' ? help('hypershift-worker') : help(name, subcommand));
  return words
    .filter((word) => /^--?[A-Za-z]/.test(word))
    .map((word) => word.split('=')[0])
    .filter((flag) => !known.has(flag))
    .map((flag) => `${[name, subcommand].filter(Boolean).join(' ')}: no flag ${flag}`);
}

// Splits a line of shell into words, as far as flags are concerned.
const wordsOf = (line) => line.match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? [];

// Every call of one of the programs in lines of shell, as [program, words].
export function callsIn(lines) {
  const calls = [];
  for (const line of lines) {
    for (const part of line.split(/\s(?:\||&&|;)\s|[;&]$|\$\(/)) {
      const words = wordsOf(part.replace(/\)\s*$/, ''));
      // Not where it is an argument: the name of a user, an image, a namespace or a unit.
      const isCommand = (word, at) => {
        const before = words.slice(0, at);
        if (!/(^|\/)hypershift(-coordinator|-worker)?$/.test(word)) return false;
        if (before.every((one) => /^([A-Z_]+=.*|sudo|exec)$/.test(one)) || before.at(-1) === '--') return true;
        return before.includes('exec') && !before.at(-1).startsWith('-') && !before.includes('kubectl');
      };
      const at = words.findIndex(isCommand);
      if (at < 0) continue;
      calls.push([words[at].split('/').pop(), words.slice(at + 1)]);
    }
  }
  return calls;
}
