/* SPDX-License-Identifier: MIT */
/* The OpenAPI 3.0 document of the control API, made from operations.h and the tables of types.h. */
#ifndef PIAGENT_API_OPENAPI_H
#define PIAGENT_API_OPENAPI_H

#include <jansson.h>

/* New reference, or NULL without memory. */
json_t *api_openapi(void);

#endif
