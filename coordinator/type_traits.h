// How the values of a type behave when they are streamed in binary and compressed, decided from pg_type.
//
// Pure. Sources: design of the copy path; trials with TimescaleDB 2.28 for what compression rewrites.
#ifndef HYPERSHIFT_COORDINATOR_TYPE_TRAITS_H_
#define HYPERSHIFT_COORDINATOR_TYPE_TRAITS_H_

#include <map>
#include <string>

#include "coordinator/catalog.h"

namespace hypershift {

// One row of pg_type.
struct TypeRow {
  std::string name;
  char type = 'b';      // typtype
  char category = 'U';  // typcategory
  Oid base = 0;
  Oid element = 0;
  bool has_binary = false;
  Oid range_subtype = 0;
  bool has_hash = false;  // A hash operator class of its own, or of a type that it is binary coercible to.
};

class TypeTable {
 public:
  void Add(Oid oid, TypeRow row) { rows_[oid] = std::move(row); }
  // Looks through domains; the type itself when it is none.
  Oid BaseType(Oid oid) const;
  TypeTraits Traits(Oid oid) const;

 private:
  bool BinarySafe(Oid oid, int depth) const;
  bool CompressionRewrites(Oid oid, int depth) const;
  bool Hashable(Oid oid, int depth) const;
  const TypeRow* Find(Oid oid) const;

  std::map<Oid, TypeRow> rows_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_TYPE_TRAITS_H_
