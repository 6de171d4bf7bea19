// Random choices that a seed repeats: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators,
// scrambled", 2016), its state spread by SplitMix64 so that neighbouring seeds have nothing in common.
const mask = (1n << 64n) - 1n;

function spread(seed) {
  let value = (BigInt(seed) + 0x9e3779b97f4a7c15n) & mask;
  value = ((value ^ (value >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
  value = ((value ^ (value >> 27n)) * 0x94d049bb133111ebn) & mask;
  return (value ^ (value >> 31n)) || 1n;
}

export class Random {
  constructor(seed) {
    this.state = spread(seed);
  }

  // In [0, 1).
  next() {
    this.state ^= this.state >> 12n;
    this.state = (this.state ^ (this.state << 25n)) & mask;
    this.state ^= this.state >> 27n;
    return Number(((this.state * 0x2545f4914f6cdd1dn) & mask) >> 11n) / 2 ** 53;
  }

  // A whole number, both ends included.
  int(low, high) {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  // Each order of magnitude is as likely as the others.
  magnitude(low, high) {
    return Math.round(Math.exp(Math.log(low) + this.next() * (Math.log(high) - Math.log(low))));
  }

  chance(probability) {
    return this.next() < probability;
  }

  pick(list) {
    return list[this.int(0, list.length - 1)];
  }

  // By weight: {name: weight, …}.
  pickWeighted(weights) {
    const names = Object.keys(weights);
    let left = this.next() * names.reduce((sum, name) => sum + weights[name], 0);
    return names.find((name) => (left -= weights[name]) < 0) ?? names.at(-1);
  }
}
