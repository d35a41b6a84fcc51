/* SPDX-License-Identifier: MIT */
/* The control API's OpenAPI 3.0 document, made from api/operations.h and the tables of api/types.h. */
#ifndef PIAGENT_API_OPENAPI_H
#define PIAGENT_API_OPENAPI_H

#include <jansson.h>

/* New reference, or NULL without memory. */
json_t *api_openapi(void);

#endif
