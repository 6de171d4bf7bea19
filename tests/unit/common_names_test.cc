#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/names.h"

namespace hypershift {
namespace {

using testing::HasSubstr;
using testing::Not;

// No name can end a statement, whatever the source calls its tables.
TEST(QuoteTest, QuotesAndDoubles) {
  EXPECT_EQ(QuoteIdentifier("a"), "\"a\"");
  EXPECT_EQ(QuoteIdentifier("x\"; DROP TABLE y; --"), "\"x\"\"; DROP TABLE y; --\"");
  EXPECT_EQ(QuoteIdentifiers({"a", "B\"c"}), "\"a\", \"B\"\"c\"");
  EXPECT_EQ(QuoteIdentifiers({}), "");
  EXPECT_EQ(QuoteLiteral("it's"), "'it''s'");
  EXPECT_EQ(QuoteLiteral("\\'"), "E'\\\\'''");
  EXPECT_EQ((QualifiedName{"a.b", "c\"d"}.Quoted()), "\"a.b\".\"c\"\"d\"");
}

TEST(ParseQualifiedNameTest, FoldsUnquotedPartsOnly) {
  EXPECT_EQ(*ParseQualifiedName("Public.Flights"), (QualifiedName{"public", "flights"}));
  EXPECT_EQ(*ParseQualifiedName(" \"Mixed\".\"Ta\"\"b.le\" "), (QualifiedName{"Mixed", "Ta\"b.le"}));
  EXPECT_EQ(*ParseQualifiedName("größe.Ä$1"), (QualifiedName{"größe", "Ä$1"}));
}

TEST(ParseQualifiedNameTest, SaysWhatIsWrong) {
  struct Case {
    std::string text;
    const char* words;
  };
  const Case cases[] = {{"flights", "schema is missing"},
                        {"a.b.c", "too many parts"},
                        {"\"a.b", "not closed"},
                        {"a.", "empty"},
                        {".b", "empty"},
                        {"", "empty"},
                        {"a.\"\"", "empty"},
                        {"a b.c", "must be in double"},
                        {"a.b-c", "must be in double"},
                        {"1a.b", "must be in double"},
                        {"\"a\"b.c", "must be in double"},
                        {std::string("a\0.b", 4), "zero byte"},
                        {"a.b;drop", "must be in double"},
                        {"a.b\x1b[2J", "must be in double"}};
  for (const Case& test : cases) {
    const auto name = ParseQualifiedName(test.text);
    EXPECT_TRUE(absl::IsInvalidArgument(name.status())) << test.text;
    EXPECT_THAT(std::string(name.status().message()), HasSubstr(test.words)) << test.text;
    EXPECT_EQ(name.status().message().find('\x1b'), absl::string_view::npos);
  }
}

// What is shown can be pasted into the configuration.
TEST(QualifiedNameTest, DisplayParsesBack) {
  for (const QualifiedName& name : {QualifiedName{"public", "flights"}, QualifiedName{"Mixed", "Table"},
                                    QualifiedName{"a.b", "c\"d"}, QualifiedName{"1", "ü"}, QualifiedName{"a b", "$"}}) {
    const auto parsed = ParseQualifiedName(name.Display());
    ASSERT_TRUE(parsed.ok()) << name.Display();
    EXPECT_EQ(*parsed, name);
  }
  EXPECT_EQ((QualifiedName{"public", "flights"}.Display()), "public.flights");
  EXPECT_EQ((QualifiedName{"Mixed", "t"}.Display()), "\"Mixed\".t");
}

TEST(ParseIdentifierTest, TakesOneName) {
  EXPECT_EQ(*ParseIdentifier("Date"), "date");
  EXPECT_EQ(*ParseIdentifier("\"Date\""), "Date");
  EXPECT_TRUE(absl::IsInvalidArgument(ParseIdentifier("a.b").status()));
}

TEST(PrintableTest, NeutralisesControlCharacters) {
  EXPECT_EQ(Printable("a\nb\x1b[2J\x7f ü"), "a\\x0ab\\x1b[2J\\x7f ü");
}

// Promise: a password in the wrong place stays unsaid.
TEST(InQuotesTest, DoesNotRepeatAConnectionString) {
  EXPECT_EQ(InQuotes("a\nb"), "'a\\x0ab'");
  EXPECT_EQ(InQuotes("password_hash"), "'password_hash'");
  EXPECT_THAT(InQuotes("postgres://me:secret@host/base"), Not(HasSubstr("secret")));
  EXPECT_THAT(InQuotes("host=h password = secret"), Not(HasSubstr("secret")));
}

TEST(NearestNameTest, FindsSlipsButNotOtherWords) {
  const std::vector<std::string> keys = {"segmentby", "orderby", "after"};
  EXPECT_EQ(NearestName("segment_by", keys), "segmentby");
  EXPECT_EQ(NearestName("oderby", keys), "orderby");
  EXPECT_EQ(NearestName("atfer", keys), "after");
  EXPECT_EQ(NearestName("AFTER", keys), "after");
  EXPECT_EQ(NearestName("interval", keys), "");
  EXPECT_EQ(NearestName("", keys), "");
  EXPECT_EQ(NearestName("a", {}), "");
  EXPECT_EQ(NearestName("cat", {"cut", "cat"}), "cat");
}

}  // namespace
}  // namespace hypershift
