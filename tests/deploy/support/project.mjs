// The project's files as the checks read them.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import YAML from 'yaml';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
export const inRoot = (...parts) => join(root, ...parts);
export const text = (path) => readFileSync(inRoot(path), 'utf8');

// Files below a folder, by their names from the project's folder; not what docker/prepare makes.
export function filesBelow(folder, pattern) {
  return readdirSync(inRoot(folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
    .filter((path) => !path.startsWith('docker/secrets/'))
    .sort();
}

// Every document of a YAML file; throws at errors and warnings. YAML 1.1's `<<` is Compose's way of sharing.
export function yaml(path) {
  return YAML.parseAllDocuments(text(path), { merge: true, prettyErrors: true }).map((document) => {
    const [problem] = [...document.errors, ...document.warnings];
    if (problem) throw new Error(`${path}: ${problem.message}`);
    return document.toJS();
  });
}

// Everything that holds a command line: lines that end in \ are joined, comments and empty lines left out.
export function logicalLines(content) {
  const lines = [];
  let open = '';
  for (const line of content.split('\n')) {
    if (/^\s*#/.test(line) || (open === '' && line.trim() === '')) continue;
    open += line.replace(/\\$/, ' ');
    if (line.endsWith('\\')) continue;
    lines.push(open.trim());
    open = '';
  }
  if (open !== '') lines.push(open.trim());
  return lines;
}
