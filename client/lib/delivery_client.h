// DeliveryClient::Connect with names that somebody else resolves.
#ifndef RESTANTE_CLIENT_LIB_DELIVERY_CLIENT_H_
#define RESTANTE_CLIENT_LIB_DELIVERY_CLIENT_H_

#include <memory>

#include "client/lib/store_names.h"
#include "restante/delivery.h"

namespace restante::client_internal {

std::shared_ptr<DeliveryClient> MakeDeliveryClient(ClientOptions options, std::shared_ptr<Resolver> resolver);

}  // namespace restante::client_internal

#endif  // RESTANTE_CLIENT_LIB_DELIVERY_CLIENT_H_
