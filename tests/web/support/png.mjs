// How many colours a screenshot has: a blank page has one.
import { inflateSync } from 'node:zlib';

function chunks(png) {
  const found = { IDAT: [] };
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    const type = png.toString('latin1', at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (type === 'IDAT') found.IDAT.push(body);
    else found[type] = body;
    at += 12 + length;
  }
  return found;
}

const paeth = (left, above, corner) => {
  const [toLeft, toAbove, toCorner] = [above - corner, left - corner, left + above - 2 * corner].map(Math.abs);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
};

// 8 bits a channel, RGB or RGBA, as Chromium writes it.
export function colours(png) {
  const { IHDR, IDAT } = chunks(png);
  const [width, height, channels] = [IHDR.readUInt32BE(0), IHDR.readUInt32BE(4), IHDR[9] === 6 ? 4 : 3];
  const raw = inflateSync(Buffer.concat(IDAT));
  const stride = width * channels;
  let before = new Uint8Array(stride);
  const seen = new Map();
  for (let row = 0; row < height; ++row) {
    const filter = raw[row * (stride + 1)];
    const line = Uint8Array.from(raw.subarray(row * (stride + 1) + 1, (row + 1) * (stride + 1)));
    for (let i = 0; i < stride; ++i) {
      const left = i < channels ? 0 : line[i - channels];
      const corner = i < channels ? 0 : before[i - channels];
      line[i] += [0, left, before[i], (left + before[i]) >> 1, paeth(left, before[i], corner)][filter];
    }
    for (let i = 0; i < stride; i += channels) {
      const colour = (line[i] << 16) | (line[i + 1] << 8) | line[i + 2];
      seen.set(colour, (seen.get(colour) ?? 0) + 1);
    }
    before = line;
  }
  return seen;
}
