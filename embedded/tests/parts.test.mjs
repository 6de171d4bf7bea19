// The parts that need no server.

import assert from 'node:assert/strict';
import test from 'node:test';
import { BackendScanner } from '../src/backend-scanner.mjs';
import { UsageError, parseCommandLine } from '../src/options.mjs';
import { Ring } from '../src/ring.mjs';
import { isConcurrentIndexCommand, isDiscardAll, mayChangeSettings, parseDeallocate, quoteLiteral } from '../src/sql-text.mjs';
import { Round } from '../src/round.mjs';
import { FatalError, parseOptions } from '../src/startup.mjs';
import { Statements } from '../src/statements.mjs';
import { FrontendBuffer } from '../src/frontend-buffer.mjs';
import { message, queryMessage, readyForQuery } from '../src/wire.mjs';
import { bind, copyData, copyDone, parse } from './support/raw-client.mjs';

test('a ring keeps the order of bytes across its end', () => {
  const ring = new Ring(Ring.allocate(16));
  const target = new Uint8Array(16);
  for (let round = 0; round < 50; round++) {
    const bytes = Uint8Array.from({ length: 11 }, (_, i) => round + i);
    assert.equal(ring.write(bytes), 11);
    assert.equal(ring.write(bytes), 5);
    assert.equal(ring.free, 0);
    assert.equal(ring.read(target.subarray(0, 11)), 11);
    assert.deepEqual(target.subarray(0, 11), bytes);
    assert.equal(ring.read(target), 5);
    assert.deepEqual(target.subarray(0, 5), bytes.subarray(0, 5));
  }
});

test('a ring counts beyond 32 bits', () => {
  const ring = new Ring(Ring.allocate(16));
  ring.control[0] = ring.control[1] = -8; // 2^32 - 8 bytes so far
  assert.equal(ring.write(new Uint8Array(12)), 12);
  assert.equal(ring.used, 12);
  assert.equal(ring.read(new Uint8Array(16)), 12);
  assert.equal(ring.used, 0);
});

test('the scanner finds ReadyForQuery however the output is cut', () => {
  const output = Buffer.concat([message('D', Buffer.from('Z....I')), message('G', Buffer.alloc(3)), readyForQuery(0x54)]);
  for (let size = 1; size <= output.length; size++) {
    const seen = [];
    const scanner = new BackendScanner();
    for (let at = 0; at < output.length; at += size) {
      scanner.scan(output.subarray(at, at + size), (type, status) => seen.push([type, status]));
    }
    assert.deepEqual(seen, [[0x47, 0], [0x5a, 0x54]], `pieces of ${size}`);
  }
});

test('the frontend buffer gives the same bytes however they arrive', () => {
  const messages = [queryMessage('select 1'), copyData('ab'), copyData('x'.repeat(300)), copyDone(), queryMessage('')];
  const sent = Buffer.concat(messages);
  for (const size of [1, 2, 3, 7, 50, sent.length]) {
    const buffer = new FrontendBuffer();
    const taken = [];
    for (let at = 0; at < sent.length; at += size) {
      buffer.push(sent.subarray(at, at + size));
      for (;;) {
        const isCopyData = buffer.insideMessage || buffer.nextType() === 0x64;
        const bytes = isCopyData ? buffer.takeCopyData() : buffer.takeMessage();
        if (bytes === null) break;
        taken.push(bytes);
      }
    }
    assert.deepEqual(Buffer.concat(taken), sent, `chunks of ${size}`);
    assert.equal(buffer.size, 0);
  }
});

test('start-up options', () => {
  assert.deepEqual(parseOptions('-c work_mem=8MB -cTimeZone=UTC --search-path=a,b'), [
    ['work_mem', '8MB'],
    ['timezone', 'UTC'],
    ['search_path', 'a,b'],
  ]);
  assert.deepEqual(parseOptions('-c a.b=two\\ words\\\\'), [['a.b', 'two words\\']]);
  assert.throws(() => parseOptions('-d 5'), FatalError);
  assert.throws(() => parseOptions('-c nothing'), FatalError);
});

test('which SQL may change settings', () => {
  const changing = ['SET x = 1', ' /* c */ set x to 1', 'select 1; reset all', "select set_config('a','b',false)"];
  for (const sql of changing) assert.equal(mayChangeSettings(sql), true, sql);
  for (const sql of ['UPDATE t SET a = 1', 'select 1', 'COMMIT', '']) assert.equal(mayChangeSettings(sql), false, sql);
});

test('DEALLOCATE and DISCARD are recognised', () => {
  assert.deepEqual(parseDeallocate('DEALLOCATE "a""B";'), { name: 'a"B' });
  assert.deepEqual(parseDeallocate('deallocate prepare Foo_1'), { name: 'foo_1' });
  assert.deepEqual(parseDeallocate('DEALLOCATE ALL'), { all: true });
  assert.equal(parseDeallocate('deallocate a; select 1'), null);
  assert.equal(isDiscardAll(' discard  all ; '), true);
  assert.equal(isDiscardAll('discard plans'), false);
});

test('statement names get the prefix of their client, long ones stay distinct', () => {
  const statements = new Statements(7);
  assert.deepEqual(statements.rewrite(parse('s', 'select 1')), parse('c7:s', 'select 1'));
  assert.deepEqual(statements.rewrite(bind('s', 'v')), bind('c7:s', 'v'));
  assert.deepEqual(statements.rewrite(bind('', 'v')), bind('', 'v'));
  const [a, b] = ['a', 'b'].map((end) => statements.rewrite(parse('n'.repeat(62) + end, 'select 1')));
  assert.notDeepEqual(a, b);
  assert.equal(statements.takeCloseMessages().length, 3);
});

test('a round ends with what its protocol says', () => {
  const types = { Q: 0x51, P: 0x50, S: 0x53, c: 0x63 };
  const simple = new Round();
  simple.passed(types.Q);
  assert.equal(simple.answering, true);
  simple.onCopyIn();
  assert.equal(simple.answering, false);
  simple.passed(types.c);
  assert.equal(simple.answering, true);
  const extended = new Round();
  for (const letter of 'PS') extended.passed(types[letter]);
  assert.equal(extended.answering, true);
  extended.onCopyIn();
  extended.onError();
  assert.equal(extended.answering, false, 'the second Sync is still to come');
  extended.passed(types.S);
  assert.equal(extended.answering, true);
  extended.onReady();
  assert.equal(extended.open, false);
});

test('index commands with CONCURRENTLY are recognised', () => {
  for (const sql of ['create index concurrently i on t (n)', 'REINDEX (VERBOSE) TABLE CONCURRENTLY t']) {
    assert.equal(isConcurrentIndexCommand(sql), true, sql);
  }
  for (const sql of ['refresh materialized view concurrently v', "select 'create index concurrently'"]) {
    assert.equal(isConcurrentIndexCommand(sql), false, sql);
  }
});

test('literals', () => {
  assert.equal(quoteLiteral("it's"), "'it''s'");
  assert.equal(quoteLiteral("a\\'b"), "E'a\\\\''b'");
});

test('the command line says what is wrong with it', () => {
  assert.equal(parseCommandLine(['--port', '0']).queueTimeoutSeconds, 120);
  const wrong = [[], ['--port', 'x'], ['--port', '70000'], ['--port', '0', '--host', '0.0.0.0'], ['--port', '0', '--what']];
  for (const argv of wrong) assert.throws(() => parseCommandLine(argv), UsageError, argv.join(' '));
});
