/* SPDX-License-Identifier: MIT */
/* https://spec.openapis.org/oas/v3.0.3: 3.0, because that is what most tools read. */
#include "agent/api/openapi.h"

#include <ctype.h>
#include <string.h>

#include "agent/api/operations.h"

static json_t *object_schema(const struct pi_field *fields);

static json_t *words(const char *const *names)
{
    json_t *list = json_array();
    for (; *names; names++)
        json_array_append_new(list, json_string(*names));
    return list;
}

static json_t *field_schema(const struct pi_field *f, bool zero_is_none)
{
    switch (f->type) {
    case PI_FIELD_STRING:
        return json_pack("{s:s}", "type", "string");
    case PI_FIELD_TEXT:
        return json_pack("{s:s,s:I}", "type", "string", "maxLength", (json_int_t)f->size - 1);
    case PI_FIELD_U64:
        return json_pack("{s:s,s:s,s:I,s:I}", "type", "integer", "format", "int64", "minimum",
                         zero_is_none ? (json_int_t)1 : (json_int_t)f->min, "maximum",
                         (json_int_t)(f->max ? f->max : INT64_MAX));
    case PI_FIELD_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case PI_FIELD_ENUM:
        return json_pack("{s:s,s:o}", "type", "string", "enum", words(f->names + f->zero_is_none));
    case PI_FIELD_STRV:
        return json_pack("{s:s,s:I,s:{s:s}}", "type", "array", "maxItems",
                         (json_int_t)(f->max ? f->max : PI_FIELD_STRV_MAX), "items", "type", "string");
    case PI_FIELD_STRUCT:
        return object_schema(f->nested);
    case PI_FIELD_INLINE:
        break;
    case PI_FIELD_JSON:
        return json_object();
    }
    return NULL;
}

static json_t *object_schema(const struct pi_field *fields)
{
    json_t *properties = json_object(), *required = json_array();
    for (struct pi_field_walk walk = {.next = fields}; pi_fields_next(&walk);) {
        const struct pi_field *f = walk.field;
        json_t *schema = field_schema(f, walk.zero_is_none);
        if (f->help)
            json_object_set_new(schema, "description", json_string(f->help));
        json_object_set_new(properties, f->key, schema);
        if (walk.required)
            json_array_append_new(required, json_string(f->key));
    }
    json_t *object =
        json_pack("{s:s,s:o,s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
    /* JSON Schema (draft 4) allows no empty list here. */
    if (json_array_size(required))
        json_object_set(object, "required", required);
    json_decref(required);
    return object;
}

static json_t *reference(const struct api_schema *schema)
{
    return json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s", schema->name));
}

static json_t *schema_of(const struct api_schema *schema)
{
    if (!schema->fields)
        return json_pack("{s:s}", "type", "object");
    json_t *object = object_schema(schema->fields);
    if (schema->list) {
        json_t *any = json_array();
        for (size_t i = 0; i < 2 && schema->items[i]; i++)
            json_array_append_new(any, reference(schema->items[i]));
        json_object_set_new(json_object_get(object, "properties"), schema->list,
                            json_pack("{s:s,s:{s:o}}", "type", "array", "items", "anyOf", any));
        json_object_set_new(object, "required", json_pack("[s]", schema->list));
    }
    return object;
}

static json_t *content(const char *type, const struct api_schema *schema)
{
    return json_pack("{s:{s:o}}", type, "schema",
                     schema ? reference(schema)
                            : json_pack("{s:s,s:s}", "type", "string", "format", "binary"));
}

static json_t *parameters(const struct api_operation *operation)
{
    json_t *list = json_array();
    if (strstr(operation->path, "{name}"))
        json_array_append_new(list, json_pack("{s:s}", "$ref", "#/components/parameters/name"));
    for (const struct api_query *q = operation->queries; q && q->name; q++)
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:s,s:{s:s,s:s,s:i,s:I}}", "name", q->name, "in", "query",
                                        "description", q->help, "schema", "type", "integer", "format",
                                        "int64", "minimum", 0, "maximum", (json_int_t)q->max));
    return list;
}

static json_t *responses(const struct api_operation *operation)
{
    char status[4] = {(char)('0' + operation->status / 100), '0', (char)('0' + operation->status % 10), 0};
    const char *type = operation->reply_type ? operation->reply_type : "application/json";
    const char *what = operation->reply_type ? operation->reply ? "One JSON object a line" : "Text or bytes"
                       : operation->status == 202 ? "Begun"
                                                  : "Done";
    return json_pack("{s:{s:s,s:o},s:{s:s}}", status, "description", what, "content",
                     content(type, operation->reply), "default", "$ref", "#/components/responses/Error");
}

static json_t *operation_json(const struct api_operation *operation)
{
    json_t *object =
        json_pack("{s:s,s:s,s:o,s:o}", "operationId", operation->id, "summary", operation->summary,
                  "parameters", parameters(operation), "responses", responses(operation));
    if (operation->request || operation->request_type)
        json_object_set_new(
            object, "requestBody",
            json_pack("{s:b,s:o}", "required", operation->request && operation->request->fields[0].required,
                      "content",
                      content(operation->request ? "application/json" : operation->request_type,
                              operation->request)));
    return object;
}

static json_t *paths(void)
{
    json_t *all = json_object();
    for (size_t i = 0; i < API_OPERATIONS; i++) {
        const struct api_operation *operation = &api_operations[i];
        char method[8] = "";
        for (size_t k = 0; operation->method[k] && k < sizeof method - 1; k++)
            method[k] = (char)tolower((unsigned char)operation->method[k]);
        if (!json_object_get(all, operation->path))
            json_object_set_new(all, operation->path, json_object());
        json_object_set_new(json_object_get(all, operation->path), method, operation_json(operation));
    }
    return all;
}

static json_t *components(void)
{
    json_t *schemas = json_object();
    for (size_t i = 0; api_schemas[i]; i++)
        json_object_set_new(schemas, api_schemas[i]->name, schema_of(api_schemas[i]));
    return json_pack(
        "{s:o,s:{s:{s:s,s:o}},s:{s:{s:s,s:s,s:b,s:s,s:{s:s,s:i}}}}", "schemas", schemas, "responses", "Error",
        "description",
        "A failure: 400 usage, 404 not-found, 405 (with Allow), 409 conflict, 422 unverified, 500 failed or "
        "guest, 502 network, 503 agent, 504 timeout, 507 host",
        "content",
        json_pack("{s:{s:{s:s}}}", "application/json", "schema", "$ref", "#/components/schemas/Error"),
        "parameters", "name", "name", "name", "in", "path", "required", 1, "description",
        "the name of an instance or a network", "schema", "type", "string", "maxLength", PI_NAME_MAX);
}

json_t *api_openapi(void)
{
    return json_pack("{s:s,s:{s:s,s:s,s:s},s:[{s:s}],s:o,s:o}", "openapi", "3.0.3", "info", "title",
                     "piagent's control API", "version", PIAGENT_VERSION, "description",
                     "HTTP on the unix socket $XDG_RUNTIME_DIR/piagent/agent.sock, for its owner and root: "
                     "curl --unix-socket $XDG_RUNTIME_DIR/piagent/agent.sock http://piagent/v1/instances . "
                     "Later versions of the agent may have more members, and more words in an enum: a client "
                     "passes over what it does not know.",
                     "servers", "url", "http://piagent", "paths", paths(), "components", components());
}
