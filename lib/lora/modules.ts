/** The linear layers that an adapter may target, by the names that checkpoints and PEFT give them. */
import type { NativeModelConfig } from '../binding/native.js';

export interface LinearModule {
  /** Released HF name, `language_model.model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  readonly part: 'vision' | 'projector' | 'text';
}

const TEXT = [
  ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) => `self_attn.${name}`),
  ...['gate_proj', 'up_proj', 'down_proj'].map((name) => `mlp.${name}`),
];
const VISION = [
  ...['q_proj', 'k_proj', 'v_proj', 'projection_layer'].map((name) => `attention.${name}`),
  ...['mlp.fc1', 'mlp.fc2'],
];

/** All of a model's, in model order; the head and the patch embedding are not among them. */
export function linearModules(config: NativeModelConfig): LinearModule[] {
  const layers = (count: number, prefix: string, names: readonly string[]): string[] =>
    Array.from({ length: count }, (_, i) => names.map((name) => `${prefix}${i}.${name}`)).flat();
  const named = (names: readonly string[], part: LinearModule['part']): LinearModule[] =>
    names.map((name) => ({ name, part }));
  return [
    ...named(
      layers(config.vision.numHiddenLayers, 'vision_tower.encoder.layer.', VISION),
      'vision',
    ),
    ...named(['multi_modal_projector.linear_1', 'multi_modal_projector.linear_2'], 'projector'),
    ...named(layers(config.text.numHiddenLayers, 'language_model.model.layers.', TEXT), 'text'),
  ];
}

/** The name in a model in memory, which PEFT's files use: `model.language_model.layers.0...`. */
export function inMemoryName(name: string): string {
  return name
    .replace(/^language_model\.model\./, 'model.language_model.')
    .replace(/^(vision_tower|multi_modal_projector)\./, 'model.$1.');
}
