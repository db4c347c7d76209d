// deliver STORE SENDER RECIPIENT... < MESSAGE
#include <iostream>

#include "restante/client.h"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  auto client = restante::DeliveryClient::Connect({.target = argv[1]});
  auto result = restante::DeliverMessage(*client, {argv[2], {argv + 3, argv + argc}}, std::cin);
  if (!result.ok()) return std::cerr << result.status() << "\n", 1;
  for (const auto& decision : result->decisions) {
    std::cout << decision.address() << ": " << restante::v1::Outcome_Name(decision.outcome()) << "\n";
  }
  std::cout << (result->committed ? "stored as " + result->transaction_id : "not stored") << "\n";
}
