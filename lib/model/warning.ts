/** Something that a caller should know and that stops nothing. */
export interface ModelWarning {
  /**
   * `SETTINGS_DIFFER`: the request's prompt or pictures are not made as in training; told once for each adapter or
   * model. `GENERATION_NOT_FOLLOWED`: generation_config.json asks for what is not computed here; told with the first
   * answer of a model. `BASE_DIFFERS`: an adapter was trained upon other weights, or upon weights in 8 or 4 bits that the model
   * does not keep so; told when it is loaded, merged or trained further.
   */
  readonly code: 'SETTINGS_DIFFER' | 'GENERATION_NOT_FOLLOWED' | 'BASE_DIFFERS';
  /** Name of the adapter; undefined: it is about the model itself. */
  readonly adapter: string | undefined;
  readonly message: string;
  /** What a caller of `FaceLlm` does to be rid of it. */
  readonly remedy: string;
  /** One line a setting. */
  readonly differences: readonly string[];
}
