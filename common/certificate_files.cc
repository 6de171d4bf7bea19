#include "common/certificate_files.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

absl::Status CantRead(const std::string& file) {
  return absl::NotFoundError(absl::StrCat(file, " can't be read: ", std::strerror(errno)));
}

absl::StatusOr<std::unique_ptr<X509, Free>> ReadCertificate(const std::string& file) {
  errno = 0;
  const std::unique_ptr<BIO, Free> bio(BIO_new_file(file.c_str(), "r"));
  if (bio == nullptr) return CantRead(file);
  std::unique_ptr<X509, Free> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) return absl::InvalidArgumentError(absl::StrCat(file, " holds no PEM certificate"));
  return certificate;
}

// Asks nobody for a passphrase: there may be no terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::StatusOr<std::unique_ptr<EVP_PKEY, Free>> ReadKey(const std::string& file) {
  errno = 0;
  const std::unique_ptr<BIO, Free> bio(BIO_new_file(file.c_str(), "r"));
  if (bio == nullptr) return CantRead(file);
  std::unique_ptr<EVP_PKEY, Free> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(file, " holds no PEM key that can be read without a passphrase"));
  }
  return key;
}

std::string TimeOf(const ASN1_TIME* time) {
  std::tm broken = {};
  if (ASN1_TIME_to_tm(time, &broken) != 1) return "an unknown time";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromTM(broken, absl::UTCTimeZone()), absl::UTCTimeZone());
}

}  // namespace

absl::Status CheckIsPrivate(const std::string& file) {
  struct stat found = {};
  if (stat(file.c_str(), &found) != 0) return CantRead(file);
  if ((found.st_mode & S_IROTH) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("everybody can read ", file, ": chmod 600 ", file));
  }
  return absl::OkStatus();
}

absl::Status CheckCertificate(const std::string& certificate_file, const std::string& key_file, absl::Time now) {
  HS_ASSIGN_OR_RETURN(const auto certificate, ReadCertificate(certificate_file));
  HS_RETURN_IF_ERROR(CheckIsPrivate(key_file));
  HS_ASSIGN_OR_RETURN(const auto key, ReadKey(key_file));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the certificate in ", certificate_file, " does not belong to the key in ", key_file));
  }
  std::time_t at = absl::ToTimeT(now);
  if (X509_cmp_time(X509_get0_notAfter(certificate.get()), &at) < 0) {
    return absl::InvalidArgumentError(absl::StrCat("the certificate in ", certificate_file, " expired at ",
                                                   TimeOf(X509_get0_notAfter(certificate.get())), " UTC: renew it"));
  }
  if (X509_cmp_time(X509_get0_notBefore(certificate.get()), &at) > 0) {
    return absl::InvalidArgumentError(absl::StrCat("the certificate in ", certificate_file, " is valid from ",
                                                   TimeOf(X509_get0_notBefore(certificate.get())),
                                                   " UTC on only: check this machine's clock"));
  }
  return absl::OkStatus();
}

absl::Status CheckAuthorities(const std::string& file) { return ReadCertificate(file).status(); }

}  // namespace hypershift
