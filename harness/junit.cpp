#include "harness/junit.h"

#include <fmt/format.h>

#include <map>

namespace attest {
namespace {

/// Text as XML: markup escaped, control characters (illegal in XML 1.0) shown as '?'.
std::string escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '<')
      escaped += "&lt;";
    else if (c == '>')
      escaped += "&gt;";
    else if (c == '&')
      escaped += "&amp;";
    else if (c == '"')
      escaped += "&quot;";
    else if (c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20)
      escaped += c;
    else
      escaped += '?';
  }
  return escaped;
}

std::string body(const Record& record) {
  std::string text = record.judgement.message + '\n';
  for (const Element& element : record.judgement.worst) text += print(element) + '\n';
  for (const std::string& line : reproducers(record)) text += line + '\n';
  return escape(text);
}

/// What JUnit calls the outcome; empty for a passed case.
std::string_view outcome(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
    case Verdict::xfail:
      return "";
    case Verdict::skip:
      return "skipped";
    case Verdict::crash:
    case Verdict::not_run:
      return "error";
    default:
      return "failure";
  }
}

struct Suite {
  std::size_t failures = 0, errors = 0, skipped = 0, tests = 0;
  double seconds = 0;
  std::string cases;
};

void add(Suite& suite, const std::string& suite_name, const Record& record) {
  const Verdict verdict = record.judgement.verdict;
  const std::string_view kind = outcome(verdict);
  suite.tests += 1;
  suite.failures += kind == "failure";
  suite.errors += kind == "error";
  suite.skipped += kind == "skipped";
  suite.seconds += record.seconds.total();
  suite.cases +=
      fmt::format("    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\"", escape(suite_name),
                  escape(print(record.which)), record.seconds.total());
  if (!kind.empty())
    suite.cases += fmt::format("><{0} message=\"{1}: {2}\">{3}</{0}></testcase>\n", kind,
                               verdict_of(record), escape(record.judgement.message), body(record));
  else if (warns(record))
    suite.cases += fmt::format("><system-out>WARN: {}</system-out></testcase>\n",
                               escape(record.judgement.message));
  else
    suite.cases += "/>\n";
}

}  // namespace

std::string junit_report(const std::vector<Record>& records) {
  std::map<std::string, Suite> suites;
  for (const Record& record : records) {
    const std::string suite = fmt::format("attest.{}.{}.{}", name(record.which.problem.variant),
                                          record.which.run.kernel, name(record.which.run.backend));
    add(suites[suite], suite, record);
  }
  std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"attest\">\n";
  for (const auto& [name, suite] : suites)
    xml += fmt::format(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" "
        "time=\"{:.3f}\">\n{}  </testsuite>\n",
        name, suite.tests, suite.failures, suite.errors, suite.skipped, suite.seconds, suite.cases);
  return xml + "</testsuites>\n";
}

}  // namespace attest
