// Hosts around one router, which is the namespace that this process is in: each host has an address, and a link whose rate is
// capped alike in both directions.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

function execute(command, ...args) {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
}

const ip = (...args) => execute('ip', ...args);

let hosts = 0;

export class Host {
  // rate: bytes per second each way, 0 for no limit.
  constructor(name, { rate = 0 } = {}) {
    const number = ++hosts;
    Object.assign(this, { name, link: `to-${name}`, address: `10.77.${number}.2`, router: `10.77.${number}.1` });
    ip('netns', 'add', name);
    ip('link', 'add', this.link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    ip('address', 'add', `${this.router}/24`, 'dev', this.link);
    ip('link', 'set', this.link, 'up');
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('-n', name, 'address', 'add', `${this.address}/24`, 'dev', 'eth0');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
    ip('-n', name, 'route', 'add', 'default', 'via', this.router);
    if (rate > 0) this.cap(rate);
  }

  // Packets that have to wait do so for as long as a router's buffer would let them.
  cap(rate) {
    const shape = ['root', 'tbf', 'rate', `${Math.round(rate)}bps`, 'burst', '64kb', 'latency', '200ms'];
    execute('tc', 'qdisc', 'replace', 'dev', this.link, ...shape);
    ip('netns', 'exec', this.name, 'tc', 'qdisc', 'replace', 'dev', 'eth0', ...shape);
  }

  // How a command is started on this host.
  get prefix() {
    return ['ip', 'netns', 'exec', this.name];
  }

  // Packets vanish on the router, without a word to anybody: all, or only those to this host.
  cutOff() {
    this.dropTo();
    ip('rule', 'add', 'from', this.address, 'blackhole');
  }

  dropTo() {
    ip('route', 'add', 'blackhole', this.address);
  }

  heal() {
    spawnSync('ip', ['rule', 'del', 'from', this.address, 'blackhole']);
    ip('route', 'del', 'blackhole', this.address);
  }

  // The host is gone, and whatever ran on it.
  remove() {
    for (const pid of spawnSync('ip', ['netns', 'pids', this.name], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean)) {
      process.kill(Number(pid), 'SIGKILL');
    }
    ip('link', 'del', this.link);
    ip('netns', 'del', this.name);
  }
}

// Packets from one host reach another.
export function startRouter() {
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
}
