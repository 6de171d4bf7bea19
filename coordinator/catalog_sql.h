// The queries of the catalog reader. They work on PostgreSQL 12 and later, with an empty search_path.
#ifndef HYPERSHIFT_COORDINATOR_CATALOG_SQL_H_
#define HYPERSHIFT_COORDINATOR_CATALOG_SQL_H_

namespace hypershift {

inline constexpr char kServerSql[] = R"sql(
SELECT current_setting('server_version_num')::int,
       (SELECT system_identifier::text FROM pg_control_system()),
       (SELECT timeline_id FROM pg_control_checkpoint()),
       (SELECT oid FROM pg_database WHERE datname = current_database()),
       pg_is_in_recovery(),
       (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()),
       round(extract(epoch FROM now())::numeric * 1000000)::bigint,
       current_setting('hot_standby_feedback')::bool,
       current_setting('max_standby_streaming_delay') = '-1' AND current_setting('max_standby_archive_delay') = '-1',
       current_setting('max_locks_per_transaction')::bigint *
         (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)
)sql";

// Relations that hold or show data, outside system schemas and extensions.
inline constexpr char kTablesSql[] = R"sql(
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relispartition,
       EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhparent = c.oid),
       coalesce((SELECT inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid ORDER BY inhseqno LIMIT 1), 0),
       c.relrowsecurity,
       c.relhasrules,
       coalesce(pg_relation_filenode(c.oid), 0),
       CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) ELSE 0 END,
       CASE WHEN c.relkind IN ('r', 'm') THEN pg_table_size(c.oid) ELSE 0 END,
       greatest(c.reltuples, 0),
       coalesce(s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
 WHERE c.relkind IN ('r', 'p', 'f', 'm')
   AND c.relpersistence <> 't'
   AND n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_|_hypershift$)'
   AND NOT EXISTS (SELECT 1 FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY n.nspname, c.relname
)sql";

inline constexpr char kColumnsSql[] = R"sql(
SELECT a.attrelid, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid, a.attnotnull,
       a.attgenerated <> '', coalesce((SELECT collname FROM pg_collation WHERE oid = a.attcollation), ''),
       coalesce(CASE WHEN s.stadistinct < 0 THEN -s.stadistinct * greatest(c.reltuples, 0) ELSE s.stadistinct END, 0)
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN (SELECT st.schemaname, st.tablename, st.attname, st.inherited, st.n_distinct AS stadistinct
               FROM pg_stats st) s
         ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f', 'm') AND c.relpersistence <> 't'
   AND n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_|_hypershift$)'
 ORDER BY a.attrelid, a.attnum
)sql";

// The last: values have a hash, by their type's default operator class or by that of a type which they are as they
// stand.
inline constexpr char kTypesSql[] = R"sql(
SELECT t.oid, t.typname, t.typtype, t.typcategory, t.typbasetype, t.typelem, t.typsend <> 0 AND t.typreceive <> 0,
       coalesce(r.rngsubtype, 0), hashed.type IS NOT NULL
  FROM pg_type t
  LEFT JOIN pg_range r ON r.rngtypid = t.oid
  LEFT JOIN (WITH direct AS (SELECT o.opcintype AS type
                               FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
                              WHERE m.amname = 'hash' AND o.opcdefault)
             SELECT type FROM direct
              UNION
             SELECT castsource FROM pg_cast JOIN direct ON casttarget = type
              WHERE castmethod = 'b' AND castcontext = 'i') hashed ON hashed.type = t.oid
)sql";

inline constexpr char kIndexesSql[] = R"sql(
SELECT i.indexrelid, ic.relname, i.indrelid, i.indisunique, i.indisvalid, i.indpred IS NOT NULL, am.amname, k.position,
       coalesce(a.attname, ''), EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
  FROM pg_index i
  JOIN pg_class ic ON ic.oid = i.indexrelid
  JOIN pg_class tc ON tc.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = tc.relnamespace
  JOIN pg_am am ON am.oid = ic.relam
  CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, position)
  LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
 WHERE k.position <= i.indnkeyatts AND tc.relkind IN ('r', 'p', 'm') AND tc.relpersistence <> 't'
   AND n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_|_hypershift$)'
 ORDER BY i.indexrelid, k.position
)sql";

inline constexpr char kConstraintsSql[] = R"sql(
SELECT c.oid, c.conname, c.conrelid, c.contype, c.confrelid, c.conindid, c.connoinherit, coalesce(k.position, 0),
       coalesce(a.attname, '')
  FROM pg_constraint c
  JOIN pg_namespace n ON n.oid = c.connamespace
  LEFT JOIN LATERAL unnest(c.conkey) WITH ORDINALITY k(attnum, position) ON true
  LEFT JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
 WHERE c.conrelid <> 0 AND c.contype IN ('p', 'u', 'x', 'f', 'c')
   AND n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_|_hypershift$)'
 ORDER BY c.oid, k.position
)sql";

// Values are read outside the snapshot's protection (sequences are not transactional), so they are at least as far as
// the rows of the snapshot.
inline constexpr char kSequencesSql[] = R"sql(
SELECT c.oid, n.nspname, c.relname,
       coalesce((SELECT d.refobjid FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                    AND d.refclassid = 'pg_class'::regclass LIMIT 1), 0),
       format('%I.%I', n.nspname, c.relname)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'S' AND c.relpersistence <> 't'
   AND n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_|_hypershift$)'
   AND NOT EXISTS (SELECT 1 FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY n.nspname, c.relname
)sql";

inline constexpr char kViewsSql[] = R"sql(
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispopulated
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('v', 'm')
   AND n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_|_hypershift$)'
   AND NOT EXISTS (SELECT 1 FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY c.oid
)sql";

inline constexpr char kViewDependenciesSql[] = R"sql(
SELECT DISTINCT r.ev_class, d.refobjid
  FROM pg_rewrite r
  JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
  JOIN pg_namespace n ON n.oid = v.relnamespace
  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
 WHERE d.refobjid <> r.ev_class
   AND n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_|_hypershift$)'
)sql";

inline constexpr char kTriggersSql[] = R"sql(
SELECT t.oid, t.tgname, t.tgrelid, t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT t.tgisinternal
   AND n.nspname !~ '^(pg_|information_schema$|_timescaledb_|timescaledb_|_hypershift$)'
)sql";

inline constexpr char kRulesSql[] = R"sql(
SELECT DISTINCT r.ev_class FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('r', 'p')
)sql";

inline constexpr char kExtensionsSql[] = R"sql(
SELECT e.extname, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql'
)sql";

inline constexpr char kHypertablesSql[] = R"sql(
SELECT hypertable_schema, hypertable_name FROM timescaledb_information.hypertables
)sql";

inline constexpr char kLeftOutSql[] = R"sql(
SELECT 'publication ' || pubname FROM pg_publication
UNION ALL
SELECT 'subscription ' || subname FROM pg_subscription
 WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION ALL
SELECT 'event trigger ' || evtname FROM pg_event_trigger e
 WHERE NOT EXISTS (SELECT 1 FROM pg_depend d
                    WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')
UNION ALL
SELECT 'large objects: ' || count(*) || ' of them, copy them by hand' FROM pg_largeobject_metadata HAVING count(*) > 0
UNION ALL
SELECT format('rows of %s, which belong to extension %s: the target has its own',
              string_agg(t::regclass::text, ', ' ORDER BY t::regclass::text), e.extname)
  FROM pg_extension e, unnest(e.extconfig) AS t
 WHERE e.extname <> 'timescaledb'
 GROUP BY e.extname
)sql";

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_CATALOG_SQL_H_
