#include "harness/record.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

#include "cases/error.h"
#include "harness/json.h"
#include "harness/version.h"

namespace attest {
namespace {

constexpr std::array<std::string_view, 8> kReasons = {"none", "crash",  "hang",   "deadlock",
                                                      "race", "bounds", "misuse", "device"};

CrashReason parse_reason(const std::string& text) {
  for (std::size_t n = 0; n < kReasons.size(); ++n)
    if (kReasons[n] == text) return static_cast<CrashReason>(n);
  throw InfraError(concat("record: reason must be a crash reason, got ", text));
}

struct MetricField {
  const char* key;
  double Metrics::*member;
};

constexpr MetricField kMetrics[] = {{"hard_ratio", &Metrics::hard_ratio},
                                    {"hard_median", &Metrics::hard_median},
                                    {"stat_ratio", &Metrics::stat_ratio},
                                    {"stat_median", &Metrics::stat_median},
                                    {"lse_ratio", &Metrics::lse_ratio},
                                    {"lse_stat_ratio", &Metrics::lse_stat_ratio},
                                    {"rho", &Metrics::rho},
                                    {"rho_row", &Metrics::rho_row},
                                    {"bias_z", &Metrics::bias_z},
                                    {"nmse", &Metrics::nmse},
                                    {"nmse_a", &Metrics::nmse_a},
                                    {"ulp_max", &Metrics::ulp_max},
                                    {"ulp_p99", &Metrics::ulp_p99},
                                    {"rms", &Metrics::rms},
                                    {"tightest", &Metrics::tightest}};

Json json_of(const Metrics& metrics) {
  Json json = {{"worst_ratio", number(metrics.worst_ratio())}};
  for (const MetricField& field : kMetrics) json[field.key] = number(metrics.*field.member);
  return json;
}

Metrics metrics_of(const Json& json) {
  Metrics metrics;
  for (const MetricField& field : kMetrics) metrics.*field.member = number(json.at(field.key));
  return metrics;
}

Json json_of(const Element& element) {
  return {{"tensor", element.tensor},
          {"index", element.index},
          {"got", number(element.got)},
          {"want", number(element.want)},
          {"bound", number(element.bound)}};
}

Element element_of(const Json& json) {
  return {json.at("tensor"), json.at("index"), number(json.at("got")), number(json.at("want")),
          number(json.at("bound"))};
}

Json json_of(const StageResult& stage) {
  return {{"stage", stage.stage},         {"verdict", name(stage.verdict)},
          {"check", name(stage.check)},   {"message", stage.message},
          {"ratio", number(stage.ratio)}, {"rho", number(stage.rho)},
          {"failing", stage.failing},     {"total", stage.total}};
}

StageResult stage_of(const Json& json) {
  StageResult stage{.stage = json.at("stage")};
  stage.verdict = parse_verdict(json.at("verdict").get<std::string>());
  stage.check = parse_check(json.at("check").get<std::string>());
  stage.message = json.at("message");
  stage.ratio = number(json.at("ratio"));
  stage.rho = number(json.at("rho"));
  stage.failing = json.at("failing");
  stage.total = json.at("total");
  return stage;
}

Json json_of(const LayerRounding& r) {
  return {
      {"u_acc", r.u_acc}, {"mma_width", r.mma_width}, {"mma_depth", r.mma_depth}, {"u_a", r.u_a},
      {"lanes", r.lanes}, {"u_rsqrt", r.u_rsqrt},     {"u_sigmoid", r.u_sigmoid}};
}

LayerRounding layer_rounding_of(const Json& json) {
  return {.u_acc = json.at("u_acc"),
          .mma_width = json.at("mma_width"),
          .mma_depth = json.at("mma_depth"),
          .u_a = json.at("u_a"),
          .lanes = json.at("lanes"),
          .u_rsqrt = json.at("u_rsqrt"),
          .u_sigmoid = json.at("u_sigmoid")};
}

Json json_of(const Descriptor& d) {
  return {{"u_acc", d.u_acc},
          {"depth_qk", d.depth_qk},
          {"chain_qk", d.chain_qk},
          {"depth_pv", d.depth_pv},
          {"chain_pv", d.chain_pv},
          {"depth_l", d.depth_l},
          {"u_a", d.u_a},
          {"u_exp", d.u_exp},
          {"p_type", name(d.p_type)},
          {"l_from_rounded_p", d.l_from_rounded_p},
          {"block_k", d.block_k},
          {"splits", d.splits},
          {"o_type", name(d.o_type)},
          {"u_tanh", d.u_tanh},
          {"layer", json_of(d.layer)}};
}

Descriptor descriptor_of(const Json& json) {
  return {.u_acc = json.at("u_acc"),
          .depth_qk = json.at("depth_qk"),
          .chain_qk = json.at("chain_qk"),
          .depth_pv = json.at("depth_pv"),
          .chain_pv = json.at("chain_pv"),
          .depth_l = json.at("depth_l"),
          .u_a = json.at("u_a"),
          .u_exp = json.at("u_exp"),
          .p_type = parse_dtype(json.at("p_type").get<std::string>()),
          .l_from_rounded_p = json.at("l_from_rounded_p"),
          .block_k = json.at("block_k"),
          .splits = json.at("splits"),
          .o_type = parse_dtype(json.at("o_type").get<std::string>()),
          .u_tanh = json.at("u_tanh"),
          .layer = layer_rounding_of(json.at("layer"))};
}

Json json_of(const Timing& t) {
  return {
      {"inputs", t.inputs}, {"reference", t.reference}, {"kernel", t.kernel}, {"judge", t.judge}};
}

Json json_of(const Record& record) {
  const Judgement& j = record.judgement;
  Json json = {{"schema", 1},
               {"case", print(record.which)},
               {"id", case_id(record.which.problem)},
               {"verdict", name(j.verdict)},
               {"warn", j.warn},
               {"check", name(j.check)},
               {"reason", name(record.crash)},
               {"message", j.message},
               {"failing", j.failing},
               {"total", j.total},
               {"metrics", json_of(j.metrics)},
               {"worst", Json::array()},
               {"device", record.device},
               {"inputs_sha256", record.inputs_sha256},
               {"o_sha256", record.o_sha256},
               {"lse_sha256", record.lse_sha256},
               {"seconds", json_of(record.seconds)},
               {"dump", record.dump},
               {"commit", record.commit.empty() ? commit() : record.commit},
               {"toolchain", record.toolchain.empty() ? toolchain() : record.toolchain}};
  for (const Element& element : j.worst) json["worst"].push_back(json_of(element));
  if (!j.stages.empty()) {
    json["end_to_end_limit"] = number(j.end_to_end_limit);
    for (const StageResult& stage : j.stages) json["stages"].push_back(json_of(stage));
  }
  if (record.descriptor) json["descriptor"] = json_of(*record.descriptor);
  return json;
}

Record record_of(const Json& json) {
  if (json.at("schema") != 1)
    throw InfraError(concat("record: schema must be 1, got ", json.at("schema").dump()));
  Record record;
  record.which = parse_case(json.at("case").get<std::string>());
  Judgement& j = record.judgement;
  j.verdict = parse_verdict(json.at("verdict").get<std::string>());
  j.warn = json.at("warn");
  j.check = parse_check(json.at("check").get<std::string>());
  record.crash = parse_reason(json.at("reason"));
  j.message = json.at("message");
  j.failing = json.at("failing");
  j.total = json.at("total");
  j.metrics = metrics_of(json.at("metrics"));
  for (const Json& element : json.at("worst")) j.worst.push_back(element_of(element));
  if (json.contains("stages")) {
    j.end_to_end_limit = number(json.at("end_to_end_limit"));
    for (const Json& stage : json.at("stages")) j.stages.push_back(stage_of(stage));
  }
  record.device = json.at("device");
  record.inputs_sha256 = json.at("inputs_sha256");
  record.o_sha256 = json.at("o_sha256");
  record.lse_sha256 = json.at("lse_sha256");
  const Json& seconds = json.at("seconds");
  record.seconds = {seconds.at("inputs"), seconds.at("reference"), seconds.at("kernel"),
                    seconds.at("judge")};
  record.dump = json.at("dump");
  record.commit = json.at("commit");
  record.toolchain = json.at("toolchain");
  if (json.contains("descriptor")) record.descriptor = descriptor_of(json.at("descriptor"));
  return record;
}

std::string rerun_by(std::string_view program, const Case& which) {
  return concat(program, " run \"", print(which), '"');
}

/// A word as a shell reads it: quoted where it holds more than plain letters.
std::string shell_word(const std::string& word) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("/._-+=:,@%").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (std::all_of(word.begin(), word.end(), plain)) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

/// This program as a shell in the current folder finds it: `build/attest`, `./attest`, or the whole
/// path where it lies elsewhere.
std::string this_program() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path here = std::filesystem::current_path(error);
  if (error || program.empty()) return "attest";
  const std::string near = program.lexically_relative(here).string();
  if (near.rfind("..", 0) == 0) return shell_word(program.string());
  return shell_word(near.find('/') == std::string::npos ? "./" + near : near);
}

}  // namespace

std::string_view name(CrashReason reason) { return kReasons[static_cast<std::size_t>(reason)]; }

std::string to_json(const Record& record) {
  // A message may quote what a dying process printed: bytes that are no UTF-8 become U+FFFD.
  return json_of(record).dump(-1, ' ', false, Json::error_handler_t::replace);
}

Record parse_record(std::string_view text) {
  try {
    return record_of(Json::parse(text));
  } catch (const Json::exception& error) {
    throw InfraError(concat("record: a line must be a record of schema 1, got ", text.substr(0, 80),
                            " (", error.what(), ")"));
  }
}

Record unfinished(const Case& which, Verdict verdict, std::string message, CrashReason reason) {
  Record record;
  record.which = which;
  record.judgement.verdict = verdict;
  record.judgement.message = std::move(message);
  record.crash = reason;
  return record;
}

bool warns(const Record& record) {
  return record.judgement.warn && record.judgement.verdict == Verdict::pass;
}

std::string verdict_of(const Record& record) {
  const Judgement& j = record.judgement;
  const std::string_view cause = j.check != Check::none ? name(j.check) : name(record.crash);
  return cause == "none" ? std::string(name(j.verdict)) : concat(name(j.verdict), '(', cause, ')');
}

std::string rerun_command(const Case& which) { return rerun_by("attest", which); }

std::vector<std::string> reproducers(const Record& record) {
  const std::string program = this_program();
  std::vector<std::string> lines = {concat("rerun: ", rerun_by(program, record.which))};
  if (!record.dump.empty())
    lines.push_back(concat("replay: ", program, " run --replay ", shell_word(record.dump)));
  return lines;
}

}  // namespace attest
