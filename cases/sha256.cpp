#include "cases/sha256.h"

#include <openssl/evp.h>

#include <array>

#include "cases/error.h"

namespace attest {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  if (EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) != 1)
    throw InfraError("sha256: OpenSSL must offer SHA-256, got an error from EVP_DigestInit_ex");
}

Sha256::~Sha256() = default;

Sha256& Sha256::add(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) != 1)
    throw InfraError("sha256: EVP_DigestUpdate failed");
  return *this;
}

Sha256& Sha256::add(std::string_view text) {
  return add(std::as_bytes(std::span(text.data(), text.size())));
}

std::string Sha256::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_DigestFinal_ex(state_->context, digest.data(), &size) != 1)
    throw InfraError("sha256: EVP_DigestFinal_ex failed");
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned n = 0; n < size; ++n) {
    text += kDigits[digest[n] >> 4];
    text += kDigits[digest[n] & 15];
  }
  return text;
}

std::string sha256(std::string_view text) { return Sha256().add(text).hex(); }

}  // namespace attest
