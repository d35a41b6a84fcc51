/* SPDX-License-Identifier: MIT */
/* "template create" boots an instance to ready and saves it, so that others can resume from it. */
#include <errno.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/wait.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/run_options.h"
#include "agent/cli/terminal/table.h"
#include "agent/image/fetch.h"
#include "agent/image/ref.h"

/* 1 if --from names an instance, 0 if it is that of an image: then err says that there is no instance of the name. Negative if
 * the agent cannot tell. */
static int is_instance(struct cli_agent *agent, const char *from, struct pi_error *err)
{
    pi_auto_instance struct api_instance instance = {0};
    if (!from || pi_name_check(from, NULL) < 0)
        return 0;
    int r = cli_get_instance(agent, from, &instance, err);
    return r == 0 ? 1 : err->kind == PI_NOT_FOUND ? 0 : r;
}

/* Refuses options for what the source instance brings: image, disk, login. */
static int check_source_options(const struct cli_create *options, struct pi_error *err)
{
    const struct vm_spec *spec = &options->spec;
    const struct {
        bool given;
        const char *option;
    } choices[] = {
        {options->image_unverified, "--unverified"},
        {options->image_allow_unsigned, "--allow-unsigned"},
        {options->image_sha256, "--sha256"},
        {options->arch, "--arch"},
        {spec->disk_bytes, "--disk"},
        {spec->accel, "--accel"},
        {spec->firmware, "--firmware"},
        {spec->user, "--user"},
        {options->password_prompt || spec->password_hash, "--password-prompt or --password-hash"},
        {options->user_data, "--user-data"},
        {options->ssh_keys.count, "--ssh-key"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(choices); i++)
        if (choices[i].given)
            return pi_refuse(err, PI_USAGE, "--from %s is an instance, and has its own: leave out %s",
                             options->image, choices[i].option);
    return 0;
}

static int look_at_image(const struct cli_create *options, const struct api_instance *now, struct image *ret,
                         struct pi_error *err)
{
    const struct image_request request = {.ref = options->image ? options->image : "fedora",
                                          .arch = PI_WORD(now, arch, vm_arch),
                                          .sha256 = options->image_sha256,
                                          .unverified = options->image_unverified,
                                          .allow_unsigned = options->image_allow_unsigned};
    return image_expect_for_user(&request, ret, err);
}

/* With --refresh: 1 if the template is there, and its image is the one that a new one would have. An older one is removed, which
 * is told. Removes nothing that is no template. */
static int refresh(const struct cli_create *options, struct cli_agent *agent, const char *name,
                   struct pi_error *err)
{
    pi_auto_instance struct api_instance now = {0};
    pi_auto_image struct image image = {0};
    int r = cli_get_instance(agent, name, &now, err);
    if (r < 0)
        return err->kind == PI_NOT_FOUND ? 0 : r;
    if (!now.spec.template)
        return pi_refuse(err, PI_CONFLICT, "%s is an instance, and no template: choose another name", name);
    if (agent->host.url)
        return pi_refuse(err, PI_USAGE,
                         "--refresh looks at the images of this host: remove the template first");
    int from_instance = is_instance(agent, options->image, err);
    if (from_instance < 0)
        return from_instance;
    if (now.state != VM_SAVED) {
        cli_note("%s was not finished, and is made again", name);
    } else if (from_instance) {
        cli_note("%s is made again from %s", name, options->image);
    } else if ((r = look_at_image(options, &now, &image, err)) < 0) {
        return r;
    } else if (image.sha256[0] && now.image_sha256 && !strcmp(image.sha256, now.image_sha256)) {
        cli_note("%s is there, and has the image that a new one would have: %s", name, now.image);
        return 1;
    } else {
        cli_note("%s is made again: its image is %s, and %s %s", name, now.image,
                 image.sha256[0] ? image.name : options->image,
                 image.sha256[0] ? "is there now" : "may be another one now");
    }
    return cli_call(agent, "DELETE", name, NULL, NULL, NULL, err);
}

/* A word that is neither an image nor an instance may be the name of an instance with a slip in it. */
static int check_from(const char *from, const struct pi_error *absent, struct pi_error *err)
{
    struct image_ref ref;
    if (!absent->text[0] || image_ref_parse(from, &ref, NULL) == 0)
        return 0;
    return pi_refuse(err, PI_NOT_FOUND, "--from: %s is no image (fedora, a URL, a file), and %.400s", from,
                     absent->text);
}

static int make_body(const struct cli_create *options, struct cli_agent *agent, const char *name,
                     json_t **ret, struct pi_error *err)
{
    struct cli_create wanted = *options;
    struct pi_error absent = {0};
    int r = is_instance(agent, options->image, &absent);
    if (r < 0)
        *err = absent;
    const char *source = r > 0 ? options->image : NULL;
    wanted.spec.template = true;
    wanted.image = source ? NULL : options->image;
    if (source)
        r = check_source_options(options, err);
    else if (r == 0)
        r = check_from(options->image, &absent, err);
    if (r == 0)
        r = cli_create_request(&wanted, name, ret, err);
    if (r == 0 && source && json_object_set_new(*ret, "clone_of", json_string(source)) < 0)
        r = pi_fail(err, ENOMEM, "%s", name);
    return r;
}

static int run_template_create(const struct cli_call *call, struct pi_error *err)
{
    const struct cli_create *options = call->values;
    const struct cli_wait how = {.fresh = true, .json = options->json, .timeout_ms = options->timeout_ms};
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_instance struct api_instance made = {0};
    json_auto_t *body = NULL;
    int r = cli_connect(&agent, err);
    if (r == 0 && options->refresh && (r = refresh(options, &agent, call->operands[0], err)) > 0)
        return PI_OK;
    if (r == 0)
        r = make_body(options, &agent, call->operands[0], &body, err);
    if (r < 0)
        return r;
    cli_follow_hold_signals();
    if ((r = cli_create_instance(&agent, body, &made, err)) < 0 ||
        (r = cli_wait(&how, &agent, &made, 1, err)) < 0)
        return r;
    if (r == PI_OK && !options->json)
        cli_note("%s is made: piagent run --template %s NAME makes an instance of it", made.name, made.name);
    return r;
}

const struct cli_command cli_command_template_create = {
    .name = "template create",
    .operands = "NAME",
    .summary = "boots an instance once and saves it, for others to resume from",
    .details =
        "The template boots until it is ready, comes to rest, and is saved. piagent run --template NAME then makes\n"
        "instances that go on from there, each with an identity of its own, in seconds. A template never runs again.\n"
        "An interrupt leaves nothing before the guest boots; after that the template is made all the same: piagent wait NAME\n"
        "waits for it, and piagent template rm NAME ends and removes it. piagent help templates tells the rest.",
    .example = "piagent template create warm --from fedora:44 --memory 1G",
    .options = cli_template_options,
    .values_size = sizeof(struct cli_create),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_TEXT,
    .surplus = "name the image or instance with --from",
    .run = run_template_create,
};
