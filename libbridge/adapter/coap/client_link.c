#include "adapter/coap/client_inside.h"

void far_link_join(coap_far *f) { far_down(f, BRIDGE_UNSUPPORTED, "not built in"); }
void far_link_drop(coap_far *f) { (void)f; }
