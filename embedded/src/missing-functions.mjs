// The package ships PostgreSQL's libraries for encoding conversion, but not the
// functions that they call: the first conversion would end the engine. All of
// them begin with one check, so that check is supplied here, and always fails
// with an ordinary error.

const ERROR = 21; // PostgreSQL's elevel
const FEATURE_NOT_SUPPORTED = sqlstate('0A000');

/** Adds the check to what the engine's libraries can import. */
export function supplyMissingFunctions(imports, getModule) {
  imports.env.check_encoding_conversion_args = Object.assign(
    () => raise(getModule(), 'the embedded engine converts no encodings; use UTF8'),
    { sig: 'viiiii' },
  );
}

/** ereport(ERROR): does not return, PostgreSQL jumps to its handler. */
function raise(module, text) {
  const bytes = Buffer.from(`${text}\0`);
  const pointer = module._malloc(bytes.length);
  module.HEAPU8.set(bytes, pointer);
  module._errstart(ERROR, 0);
  module._errcode(FEATURE_NOT_SUPPORTED);
  module._errmsg_internal(pointer, 0);
  module._free(pointer); // the text has been copied
  module._errfinish(0, 0, 0);
}

/** PostgreSQL's MAKE_SQLSTATE: six bits for each character. */
function sqlstate(code) {
  return [...code].reduce((sum, letter, i) => sum | (((letter.charCodeAt(0) - 0x30) & 0x3f) << (6 * i)), 0);
}
