#include "coordinator/type_traits.h"

#include <algorithm>
#include <array>

#include "absl/strings/match.h"

namespace hypershift {
namespace {

// Types below this OID are built in, with the same OID on every server (access/transam.h: FirstNormalObjectId).
constexpr Oid kFirstUserOid = 16384;
constexpr int kMaxDepth = 16;

constexpr Oid kFloat4 = 700;
constexpr Oid kFloat8 = 701;
constexpr Oid kInterval = 1186;
constexpr Oid kTimetz = 1266;
constexpr Oid kNumeric = 1700;
constexpr Oid kJsonb = 3802;

// regclass and its kin are OIDs in binary, which mean something else on another server.
bool IsRegType(const TypeRow& row) {
  static constexpr std::array<const char*, 11> kNames = {"regclass",     "regcollation", "regconfig",   "regdictionary",
                                                         "regnamespace", "regoper",      "regoperator", "regproc",
                                                         "regprocedure", "regrole",      "regtype"};
  return std::find(kNames.begin(), kNames.end(), row.name) != kNames.end();
}

}  // namespace

const TypeRow* TypeTable::Find(Oid oid) const {
  auto found = rows_.find(oid);
  return found == rows_.end() ? nullptr : &found->second;
}

Oid TypeTable::BaseType(Oid oid) const {
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    const TypeRow* row = Find(oid);
    if (row == nullptr || row->type != 'd') return oid;
    oid = row->base;
  }
  return oid;
}

TypeTraits TypeTable::Traits(Oid oid) const {
  TypeTraits traits;
  traits.binary_safe = BinarySafe(oid, 0);
  traits.compression_rewrites = CompressionRewrites(oid, 0);
  traits.hashable = Hashable(oid, 0);
  const Oid base = BaseType(oid);
  traits.segmentby_rewrites = base == kFloat4 || base == kFloat8 || base == kNumeric;
  return traits;
}

bool TypeTable::BinarySafe(Oid oid, int depth) const {
  const TypeRow* row = Find(oid);
  if (row == nullptr || depth > kMaxDepth) return false;
  switch (row->type) {
    case 'd':
      return BinarySafe(row->base, depth + 1);
    case 'e':
      return true;
    case 'r':
    case 'm':
      return row->has_binary &&
             (row->range_subtype == 0 ? oid < kFirstUserOid : BinarySafe(row->range_subtype, depth + 1));
    case 'b':
      break;
    default:  // Composites carry type OIDs; pseudo-types hold no data.
      return false;
  }
  if (!row->has_binary || IsRegType(*row)) return false;
  // An array's binary form names its element type by OID.
  if (row->category == 'A' && row->element != 0)
    return row->element < kFirstUserOid && BinarySafe(row->element, depth + 1);
  return true;
}

bool TypeTable::CompressionRewrites(Oid oid, int depth) const {
  const TypeRow* row = Find(oid);
  if (row == nullptr || depth > kMaxDepth) return false;
  if (row->type == 'd') return CompressionRewrites(row->base, depth + 1);
  if (row->type == 'r' || row->type == 'm' || row->type == 'c') return true;
  if (row->category == 'A' && row->element != 0) {
    const Oid element = BaseType(row->element);
    return element == kNumeric || element == kFloat4 || element == kFloat8 || CompressionRewrites(element, depth + 1);
  }
  return oid == kInterval || oid == kTimetz || oid == kJsonb || row->name == "citext";
}

bool TypeTable::Hashable(Oid oid, int depth) const {
  const TypeRow* row = Find(oid);
  if (row == nullptr || depth > kMaxDepth) return false;
  if (row->has_hash) return true;
  switch (row->type) {
    case 'd':
      return Hashable(row->base, depth + 1);
    case 'e':
      return true;
    case 'r':
      return Hashable(row->range_subtype, depth + 1);
    case 'm':  // Of which nothing says the range; the built-in ones are of numbers and times.
      return oid < kFirstUserOid;
    case 'b':
      return row->category == 'A' && row->element != 0 && Hashable(row->element, depth + 1);
    default:  // Composites have a hash since PostgreSQL 14 only, if all their columns have.
      return false;
  }
}

}  // namespace hypershift
