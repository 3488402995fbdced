/**
 * The fields of PEFT 0.21's LoraConfig beyond those of a plain adapter: which change nothing of what a saved adapter
 * computes, and which are refused by name, with what to do instead.
 */
import type { JsonObject } from '../files/index.js';

/** Of the model's name, of training, of saving: without effect on the weights that were saved. */
const HARMLESS = new Set([
  ...['auto_mapping', 'base_model_name_or_path', 'inference_mode', 'peft_version', 'revision'],
  ...['task_type', 'runtime_config', 'megatron_core', 'qalora_group_size', 'ensure_weight_tying'],
  // Read at initialisation only, which `init_lora_weights` names.
  ...['eva_config', 'corda_config', 'lora_ga_config', 'loftq_config'],
  // The backward pass of training.
  'velora_config',
]);

/** What each would compute. Without a value they do nothing. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  alora_invocation_tokens: 'works from certain tokens on (aLoRA)',
  arrow_config: 'routes tokens among experts (Arrow)',
  kasa_config: 'takes singular values out of the base weights (KaSA)',
  layer_replication: 'repeats layers of the base',
  lora_bias: 'adds a bias to lora_B',
  megatron_config: 'is for parallel layers of Megatron',
  modules_to_save: 'brings whole modules trained beside the adapter',
  monteclora_config: 'draws its weights anew in every pass (MonteCLoRA)',
  target_parameters: 'adapts parameters that are no linear layers',
  trainable_token_indices: 'brings trained rows of the embedding',
  use_bdlora: 'has block-diagonal matrices (BD-LoRA)',
  use_qalora: 'groups the inputs of quantised layers (QA-LoRA)',
};

/** Initialisations after which a saved adapter stands on the weights of its base as they are. */
const PLAIN_INITS: readonly unknown[] = [
  ...[undefined, null, true, false],
  ...['gaussian', 'orthogonal', 'eva', 'mica'],
];

/** Those that take a part out of the base weights, which PEFT does again when it loads the adapter. */
const CHANGES_BASE = /^(pissa(_niter_\d+)?|olora|corda|lora_ga)$/;

/**
 * Everything in a configuration that a plain adapter does not have, one line each.
 *
 * @param known fields that are checked elsewhere
 */
export function peftProblems(config: JsonObject, known: readonly string[]): string[] {
  const problems = initProblems(config['init_lora_weights']);
  for (const [name, value] of Object.entries(config)) {
    if (known.includes(name) || HARMLESS.has(name) || isWithoutEffect(value)) continue;
    const effect = Object.hasOwn(UNSUPPORTED, name) ? UNSUPPORTED[name] : undefined;
    if (name === 'init_lora_weights') continue;
    problems.push(
      effect === undefined
        ? `${name}: PEFT 0.21 has no such field, so what ${shown(value)} changes is not known; remove it if it is nothing`
        : `${name}: ${effect}, which is not supported; merge the adapter into its base with PEFT (merge_and_unload) ` +
            'and load the result',
    );
  }
  return problems;
}

function initProblems(init: unknown): string[] {
  if (PLAIN_INITS.includes(typeof init === 'string' ? init.toLowerCase() : init)) return [];
  if (typeof init === 'string' && CHANGES_BASE.test(init.toLowerCase())) {
    return [
      `init_lora_weights: "${init}" takes a part out of the base weights, which PEFT does again when it loads the ` +
        'adapter and which is not done here; convert it to a plain adapter with PEFT: ' +
        'model.save_pretrained(NEW, path_initial_model_for_weight_conversion=INITIAL), INITIAL being the adapter as ' +
        'it was saved before training',
    ];
  }
  if (init === 'loftq') {
    return [
      'init_lora_weights: "loftq" quantises the base weights, which is not done here; merge the adapter into its base ' +
        'with PEFT (merge_and_unload) and load the result',
    ];
  }
  return [
    `init_lora_weights: ${shown(init)} is unknown; expected true, false, "gaussian", "orthogonal", "eva" or "mica"`,
  ];
}

/** What PEFT writes for a field that is not used. */
function isWithoutEffect(value: unknown): boolean {
  if (value === null || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
