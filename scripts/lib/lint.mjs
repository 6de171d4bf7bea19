// lint.mjs FILE...: clang-tidy on files that the release build compiles, as many at a time as there are processors. Prints its findings;
// exits 1 if there are any.
//
// A file that was clean once is not looked at again: its result is kept in ~/.cache, by the hash of everything that it depends on,
// which are the file as preprocessed, the checks and the version. CLANG_TIDY_CACHE names another folder.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const cache = process.env.CLANG_TIDY_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'hypershift/clang-tidy');
mkdirSync(cache, { recursive: true });

// Resolves with the exit status, the output's hash, and the output itself if it is wanted.
function execute(command, args, { cwd = root, keep = true } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', keep ? 'pipe' : 'ignore'] });
    const hash = createHash('sha256');
    let output = '';
    child.stdout.on('data', (chunk) => {
      hash.update(chunk);
      if (keep) output += chunk;
    });
    child.stderr?.on('data', (chunk) => (output += chunk));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, output, hash: hash.digest('hex') }));
  });
}

const commands = new Map(JSON.parse(readFileSync(join(root, 'build/compile_commands.json'), 'utf8')).map((entry) => [entry.file, entry]));
// Clang does not know all of GCC's warnings.
const flags = ['-extra-arg=-Wno-unknown-warning-option', `-header-filter=^${root}/(cli|common|coordinator|worker)/`];
const { output: version } = await execute('clang-tidy', ['--version']);
const always = createHash('sha256').update(version).update(readFileSync(join(root, '.clang-tidy')));

// What decides about the result. Comments count: they hold NOLINT.
async function keyOf(file) {
  const { command, directory } = commands.get(join(root, file));
  const compile = command.split(' ').filter(Boolean);
  const start = compile.findIndex((word) => /(^|\/)(c|g|clang)\+\+$/.test(word));
  const words = compile.slice(start + 1, compile.indexOf('-o')).filter((word) => word !== '-MD' && word !== '-MT' && word !== '-MF' && !/\.o(\.d)?$/.test(word));
  const { status, hash } = await execute('clang++', [...words, '-Wno-everything', '-E', '-C', '-P', join(root, file)], { cwd: directory, keep: false });
  return status === 0 ? always.copy().update(file).update(hash).digest('hex') : null;
}

async function lint(file) {
  if (!commands.has(join(root, file))) return { file, findings: 'it is not compiled' };
  const key = await keyOf(file);
  if (key !== null && existsSync(join(cache, key))) return { file, kept: true };
  const { status, output } = await execute('clang-tidy', ['-quiet', '-p', 'build', ...flags, file]);
  if (status !== 0) return { file, findings: output.replaceAll(/^\d+ warnings? generated.*\n/gm, '') };
  if (key !== null) writeFileSync(join(cache, key), '');
  return { file };
}

const files = process.argv.slice(2);
const results = [];
await Promise.all(Array.from({ length: availableParallelism() }, async () => {
  while (files.length > 0) results.push(await lint(files.shift()));
}));
const found = results.filter(({ findings }) => findings !== undefined);
for (const { file, findings } of found) process.stdout.write(`${file}:\n${findings}\n`);
process.stdout.write(`${results.length} C++ files, ${results.filter(({ kept }) => kept).length} of them as they were; findings in ${found.length}\n`);
process.exitCode = found.length > 0 ? 1 : 0;
