#include "tests/integration/migration_test.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace hypershift::test {
namespace {

// Everything that is not the system's or an extension's; TimescaleDB itself can't be created again in the embedded server.
constexpr char kEmptySql[] = R"sql(
SET client_min_messages = error;
DO $$
DECLARE
  command text;
BEGIN
  FOR command IN
    SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
     WHERE nspname !~ '^(pg_|information_schema$|_?timescaledb_|public$)'
    UNION ALL
    SELECT format('DROP EXTENSION %I CASCADE', extname) FROM pg_extension WHERE extname NOT IN ('plpgsql', 'timescaledb')
  LOOP
    EXECUTE command;
  END LOOP;
  LOOP
    SELECT format('DROP %s IF EXISTS %s CASCADE',
                  CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                 WHEN 'c' THEN 'TYPE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, c.oid::regclass)
      INTO command
      FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c', 'f')
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i')
     LIMIT 1;
    EXIT WHEN command IS NULL;
    EXECUTE command;
  END LOOP;
  FOR command IN
    SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure) FROM pg_proc p
     WHERE p.pronamespace = 'public'::regnamespace
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    UNION ALL
    SELECT format('DROP TYPE IF EXISTS %s CASCADE', t.oid::regtype) FROM pg_type t
     WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd', 'r')
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
  LOOP
    EXECUTE command;
  END LOOP;
END
$$)sql";

std::string NextName() {
  static int count = 0;
  return "it_" + std::to_string(getpid()) + "_" + std::to_string(++count);
}

std::string SourceServer() { return EnvironmentVariable("HYPERSHIFT_TEST_SOURCE_URI"); }
std::string TargetServer() { return EnvironmentVariable("HYPERSHIFT_TEST_TARGET_URI"); }

}  // namespace

std::string EnvironmentVariable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set: run this through with-servers");
  return value;
}

std::string ProgramPath() {
  const char* given = std::getenv("HYPERSHIFT_PROGRAM");
  return given != nullptr ? given : HYPERSHIFT_BUILT_PROGRAM;
}

bool TargetIsEmbedded() { return EnvironmentVariable("HYPERSHIFT_TEST_TARGET_KIND") == "embedded"; }

bool Eventually(const std::function<bool()>& condition, std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

ThrowAwayDatabase::ThrowAwayDatabase(const std::string& server_uri, const std::string& like)
    : server_uri_(server_uri), name_(NextName()), uri_(WithDatabase(server_uri, name_)) {
  Database(server_uri_).Run("CREATE DATABASE " + name_ + (like.empty() ? "" : " TEMPLATE " + like));
}

ThrowAwayDatabase::~ThrowAwayDatabase() {
  try {
    Database(server_uri_).Run("DROP DATABASE IF EXISTS " + name_ + " WITH (FORCE)");
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
}

Servers::Servers(const std::string& source_like)
    : source_database_(std::make_unique<ThrowAwayDatabase>(SourceServer(), source_like)) {
  AdoptOrphans();
  if (TargetIsEmbedded()) {
    target_uri_ = TargetServer();
    Database(target_uri_).Run(kEmptySql);
  } else {
    target_database_ = std::make_unique<ThrowAwayDatabase>(TargetServer());
    target_uri_ = target_database_->uri();
  }
  source_ = std::make_unique<Database>(source_database_->uri());
  target_ = std::make_unique<Database>(target_uri_);
}

Servers::~Servers() {
  KillOrphans();
  source_.reset();
  target_.reset();
  for (const std::string& file : files_) unlink(file.c_str());
}

void Servers::UsePlainTarget() {
  target_.reset();
  target_database_ = std::make_unique<ThrowAwayDatabase>(SourceServer());
  target_uri_ = target_database_->uri();
  target_ = std::make_unique<Database>(target_uri_);
}

std::string Servers::WriteConfig(const std::string& yaml) {
  const char* folder = std::getenv("TMPDIR");
  std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/hypershift-test-XXXXXX.yml";
  const int fd = mkstemps(path.data(), 4);
  if (fd < 0) throw std::runtime_error("no file for the configuration");
  close(fd);
  files_.push_back(path);
  std::ofstream(path) << yaml;
  return path;
}

Words Servers::CloneWords(const Words& more) const {
  Words words = {"clone",      "--source",         source_uri(), "--target",       target_uri(), "--hide-progress",
                 "--parallel", "4",                "--keeper-grace", "60s",        "--lease-duration", "3s",
                 "--leader-lease", "2s"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::unique_ptr<Program> Servers::StartClone(const std::string& yaml, const Words& more, const Environment& environment) {
  Words words = CloneWords(more);
  words.insert(words.begin(), ProgramPath());
  if (!yaml.empty()) {
    words.push_back("--config-file");
    words.push_back(WriteConfig(yaml));
  }
  return std::make_unique<Program>(words, environment);
}

Outcome Servers::Clone(const std::string& yaml, const Words& more, const Environment& environment) {
  return StartClone(yaml, more, environment)->Wait();
}

Outcome Servers::Hypershift(const Words& words, const Environment& environment) {
  Words command = words;
  command.insert(command.begin(), ProgramPath());
  return Program(command, environment).Wait();
}

const std::string& DemoDatabase() {
  static const ThrowAwayDatabase* const database = [] {
    auto* made = new ThrowAwayDatabase(SourceServer());
    const Outcome loaded =
        Program({"node", HYPERSHIFT_SOURCE_DIR "/demo/load.mjs", "--uri", made->uri(), "--rows", "300000"}).Wait();
    if (loaded.exit_status != 0) throw std::runtime_error("the demo data is not loaded: " + loaded.err);
    return made;
  }();
  return database->name();
}

std::string DemoConfig() {
  std::ifstream file(HYPERSHIFT_SOURCE_DIR "/demo/hypershift.yml");
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

}  // namespace hypershift::test
