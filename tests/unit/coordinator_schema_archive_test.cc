#include <gtest/gtest.h>

#include "coordinator/schema_archive.h"

namespace hypershift {
namespace {

constexpr char kScript[] = R"(--
-- PostgreSQL database dump
--

\restrict abc

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- TOC entry 214 (class 1259 OID 16412)
-- Dependencies: 3 12
-- Name: strange; Type: x name; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public."strange; Type: x name" (
    a integer
);


--
-- TOC entry 3345 (class 2606 OID 16500)
-- Name: a_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.a
    ADD CONSTRAINT a_pkey PRIMARY KEY (id);


--
-- TOC entry 5 (class 2615 OID 17000)
-- Name: s; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA s;


--
-- TOC entry 6 (class 1255 OID 17001)
-- Name: f(); Type: FUNCTION; Schema: s; Owner: -
--

CREATE FUNCTION s.f() RETURNS integer
    LANGUAGE sql
    AS $$
--
-- Completed on Mondays
--
-- PostgreSQL database dump complete
\restrict
SELECT 1
$$;


-- Completed on 2026-01-01 00:00:00 UTC

--
-- PostgreSQL database dump complete
--

\unrestrict abc
)";

// Promise: each entry of the archive is found with its object and its SQL, whatever the object is called, and psql's
// own commands never reach a server.
TEST(SchemaArchiveTest, SplitsTheScriptIntoItsEntries) {
  const absl::StatusOr<std::vector<SchemaEntry>> entries = ParseRestoreScript(kScript);
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 4u);
  const SchemaEntry& table = (*entries)[0];
  EXPECT_EQ(table.dump_id, 214);
  EXPECT_EQ(table.catalog_class, kPgClassClass);
  EXPECT_EQ(table.catalog_oid, 16412u);
  EXPECT_EQ(table.type, "TABLE");
  EXPECT_EQ(table.name, "strange; Type: x name");
  EXPECT_EQ(table.schema, "public");
  EXPECT_EQ(table.dependencies, (std::vector<int>{3, 12}));
  EXPECT_EQ(table.sql, "CREATE TABLE public.\"strange; Type: x name\" (\n    a integer\n);");
  EXPECT_EQ((*entries)[1].type, "CONSTRAINT");
  EXPECT_EQ((*entries)[1].sql, "ALTER TABLE ONLY public.a\n    ADD CONSTRAINT a_pkey PRIMARY KEY (id);");
  EXPECT_EQ((*entries)[2].schema, "");
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ((*entries)[i].sql.find('\\'), std::string::npos) << (*entries)[i].sql;
  EXPECT_EQ((*entries)[3].sql, R"(CREATE FUNCTION s.f() RETURNS integer
    LANGUAGE sql
    AS $$
--
-- Completed on Mondays
--
-- PostgreSQL database dump complete
\restrict
SELECT 1
$$;)");
}

}  // namespace
}  // namespace hypershift
