#include "match/match.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>

#include "support/listings.hpp"

namespace tenon::match {
namespace {

using test::listing_of;
using test::Row;
using Rows = std::vector<Row>;

/// What is applied: target name to source names joined with `+`.
std::map<std::string, std::string> applied(const Rows& source, const Rows& target) {
  const Listing a = listing_of(source), b = listing_of(target);
  std::map<std::string, std::string> result;
  for (const Match& match : match(a, b).matches) {
    if (!match.apply) continue;
    std::string& from = result[b.tensors[match.to].name];
    for (const std::size_t index : match.from) from += (from.empty() ? "" : "+") + a.tensors[index].name;
  }
  return result;
}

/// Rows for blocks 0 .. count-1; `#` in a name stands for the number.
Rows repeated(int count, const Rows& block, Rows more = {}) {
  for (int i = 0; i < count; ++i)
    for (const Row& row : block) {
      std::string name = row.name;
      name.replace(name.find('#'), 1, std::to_string(i));
      more.push_back({name, row.shape});
    }
  return more;
}

struct Trap {
  const char* name;
  Rows source, target;
  std::map<std::string, std::string> expected;  ///< "" for what must stay open
};

const Trap kTraps[] = {
    {"norm_behind_attention_is_the_norm_before_the_mlp",
     repeated(2, {{"layers.#.attention_norm.weight", {8}},
                  {"layers.#.ffn_norm.weight", {8}},
                  {"layers.#.attention.wq.weight", {8, 8}}}),
     repeated(2, {{"h.#.input_layernorm.weight", {8}},
                  {"h.#.post_attention_layernorm.weight", {8}},
                  {"h.#.self_attn.q_proj.weight", {8, 8}}}),
     {{"h.1.post_attention_layernorm.weight", "layers.1.ffn_norm.weight"},
      {"h.0.input_layernorm.weight", "layers.0.attention_norm.weight"},
      {"h.0.self_attn.q_proj.weight", "layers.0.attention.wq.weight"}}},
    {"output_dense_twice_in_a_block",
     repeated(2, {{"b.#.attn.proj.weight", {8, 8}}, {"b.#.mlp.fc2.weight", {8, 8}}}),
     repeated(2, {{"l.#.attention.output.dense.weight", {8, 8}}, {"l.#.output.dense.weight", {8, 8}}}),
     {{"l.0.attention.output.dense.weight", "b.0.attn.proj.weight"},
      {"l.0.output.dense.weight", "b.0.mlp.fc2.weight"}}},
    {"encoder_attn_is_cross_attention",
     repeated(2, {{"d.#.attn.query.weight", {8, 8}}, {"d.#.cross_attn.query.weight", {8, 8}}}),
     repeated(2, {{"x.#.encoder_attn.q_proj.weight", {8, 8}}, {"x.#.self_attn.q_proj.weight", {8, 8}}}),
     {{"x.1.self_attn.q_proj.weight", "d.1.attn.query.weight"},
      {"x.1.encoder_attn.q_proj.weight", "d.1.cross_attn.query.weight"}}},
    {"w1_is_the_gate_where_there_is_w3",
     repeated(2, {{"l.#.ff.w1.weight", {16, 8}}, {"l.#.ff.w2.weight", {8, 16}}, {"l.#.ff.w3.weight", {16, 8}}}),
     repeated(2, {{"m.#.mlp.up_proj.weight", {16, 8}},
                  {"m.#.mlp.gate_proj.weight", {16, 8}},
                  {"m.#.mlp.down_proj.weight", {8, 16}}}),
     {{"m.0.mlp.gate_proj.weight", "l.0.ff.w1.weight"},
      {"m.0.mlp.up_proj.weight", "l.0.ff.w3.weight"},
      {"m.0.mlp.down_proj.weight", "l.0.ff.w2.weight"}}},
    {"gamma_is_a_norm_weight_or_a_scale",
     repeated(2, {{"b.#.gamma", {8}}, {"b.#.norm.gamma", {8}}, {"b.#.norm.beta", {8}}}),
     repeated(2, {{"s.#.layer_scale", {8, 1, 1}}, {"s.#.ln.weight", {8}}, {"s.#.ln.bias", {8}}}),
     {{"s.0.layer_scale", "b.0.gamma"}, {"s.0.ln.weight", "b.0.norm.gamma"}, {"s.0.ln.bias", "b.0.norm.beta"}}},
    {"unequal_parts_of_grouped_queries",
     repeated(2, {{"l.#.attn.qkv.weight", {12, 8}}, {"l.#.attn.qkv.bias", {12}}, {"l.#.attn.proj.weight", {8, 8}}}),
     repeated(2, {{"m.#.attn.q_proj.weight", {8, 8}},
                  {"m.#.attn.k_proj.weight", {2, 8}},
                  {"m.#.attn.v_proj.weight", {2, 8}},
                  {"m.#.attn.v_proj.bias", {2}},
                  {"m.#.attn.o_proj.weight", {8, 8}}}),
     {{"m.0.attn.q_proj.weight", "l.0.attn.qkv.weight"},
      {"m.1.attn.k_proj.weight", "l.1.attn.qkv.weight"},
      {"m.1.attn.v_proj.bias", "l.1.attn.qkv.bias"},
      {"m.1.attn.o_proj.weight", "l.1.attn.proj.weight"}}},
    {"gate_and_up_become_one",
     repeated(2, {{"l.#.mlp.gate_proj.weight", {16, 8}},
                  {"l.#.mlp.up_proj.weight", {16, 8}},
                  {"l.#.mlp.down_proj.weight", {8, 16}}}),
     repeated(2, {{"m.#.mlp.gate_up_proj.weight", {32, 8}}, {"m.#.mlp.down_proj.weight", {8, 16}}}),
     {{"m.1.mlp.gate_up_proj.weight", "l.1.mlp.gate_proj.weight+l.1.mlp.up_proj.weight"}}},
    {"experts_stacked",
     repeated(2, {{"l.#.attn.wq.weight", {8, 8}},
                  {"l.#.experts.0.w1.weight", {4, 8}},
                  {"l.#.experts.1.w1.weight", {4, 8}},
                  {"l.#.experts.0.w3.weight", {4, 8}},
                  {"l.#.experts.1.w3.weight", {4, 8}}}),
     repeated(2, {{"b.#.attn_q.weight", {8, 8}},
                  {"b.#.ffn_gate_exps.weight", {2, 4, 8}},
                  {"b.#.ffn_up_exps.weight", {2, 4, 8}}}),
     {{"b.1.ffn_gate_exps.weight", "l.1.experts.0.w1.weight+l.1.experts.1.w1.weight"},
      {"b.0.ffn_up_exps.weight", "l.0.experts.0.w3.weight+l.0.experts.1.w3.weight"}}},
    {"stages_against_one_row_of_numbers",
     {{"f.1.0.a.weight", {4, 3}},
      {"f.1.1.a.weight", {4, 4}},
      {"f.3.0.a.weight", {6, 4}},
      {"f.3.1.a.weight", {6, 6}},
      {"f.1.0.n.weight", {4}},
      {"f.1.1.n.weight", {4}},
      {"f.3.0.n.weight", {6}},
      {"f.3.1.n.weight", {6}}},
     {{"s0.b.0.c.weight", {4, 3}},
      {"s0.b.1.c.weight", {4, 4}},
      {"s1.b.0.c.weight", {6, 4}},
      {"s1.b.1.c.weight", {6, 6}},
      {"s0.b.0.bn.weight", {4}},
      {"s0.b.1.bn.weight", {4}},
      {"s1.b.0.bn.weight", {6}},
      {"s1.b.1.bn.weight", {6}}},
     {{"s1.b.0.c.weight", "f.3.0.a.weight"}, {"s0.b.1.bn.weight", "f.1.1.n.weight"}}},
    {"missing_layers_stay_open",
     repeated(2, {{"h.#.attn.wq.weight", {8, 8}}, {"h.#.ln.weight", {8}}}),
     repeated(3, {{"l.#.attn.q_proj.weight", {8, 8}}, {"l.#.norm.weight", {8}}}),
     {{"l.1.attn.q_proj.weight", "h.1.attn.wq.weight"}, {"l.2.attn.q_proj.weight", ""}, {"l.2.norm.weight", ""}}},
    {"norms_of_two_attentions_are_not_told_by_numbers",
     repeated(3, {{"d.#.self_attn.q_proj.weight", {8, 8}},
                  {"d.#.cross_attn.q_proj.weight", {8, 8}},
                  {"d.#.fc1.weight", {16, 8}},
                  {"d.#.norm1.weight", {8}},
                  {"d.#.norm2.weight", {8}},
                  {"d.#.norm3.weight", {8}}}),
     repeated(3, {{"l.#.self_attn.q_proj.weight", {8, 8}},
                  {"l.#.encoder_attn.q_proj.weight", {8, 8}},
                  {"l.#.fc1.weight", {16, 8}},
                  {"l.#.self_attn_layer_norm.weight", {8}},
                  {"l.#.encoder_attn_layer_norm.weight", {8}},
                  {"l.#.final_layer_norm.weight", {8}}}),
     {{"l.0.self_attn_layer_norm.weight", ""},
      {"l.1.encoder_attn_layer_norm.weight", ""},
      {"l.1.encoder_attn.q_proj.weight", "d.1.cross_attn.q_proj.weight"}}},
    {"stages_counted_from_either_end_stay_open",
     repeated(3, {{"scratch.fuse1#.conv1.weight", {8, 8, 3, 3}}, {"scratch.fuse1#.out.weight", {8, 8, 1, 1}}}),
     repeated(3, {{"neck.levels.#.first.weight", {8, 8, 3, 3}}, {"neck.levels.#.last.weight", {8, 8, 1, 1}}}),
     {{"neck.levels.0.first.weight", ""}, {"neck.levels.2.last.weight", ""}}},
    {"an_encoders_table_is_not_a_decoders",
     {{"text_decoder.embed_tokens.weight", {40, 8}}, {"other.weight", {3, 5}}},
     {{"encoder.embed_tokens.weight", {40, 8}}, {"another.weight", {7, 5}}},
     {{"encoder.embed_tokens.weight", ""}}},
    {"short_leaves_in_company",
     repeated(3, {{"res#.conv.weight", {8, 4, 3, 3}},
                  {"res#.bn.weight", {8}},
                  {"res#.bn.bias", {8}},
                  {"res#.bn.running_mean", {8}},
                  {"res#.bn.running_var", {8}}}),
     repeated(3, {{"block#_conv_w", {8, 4, 3, 3}},
                  {"block#_bn_s", {8}},
                  {"block#_bn_b", {8}},
                  {"block#_bn_rm", {8}},
                  {"block#_bn_riv", {8}}}),
     {{"block1_bn_s", "res1.bn.weight"},
      {"block1_bn_b", "res1.bn.bias"},
      {"block2_bn_rm", "res2.bn.running_mean"},
      {"block0_bn_riv", "res0.bn.running_var"}}},
    {"leaf_and_part_in_one_word",
     repeated(3, {{"enc_l#_self_Wq", {8, 8}},
                  {"enc_l#_self_bq", {1, 8}},
                  {"enc_l#_self_Wk", {8, 8}},
                  {"enc_l#_self_bk", {1, 8}}}),
     repeated(3, {{"l.#.self_attn.q_proj.weight", {8, 8}},
                  {"l.#.self_attn.q_proj.bias", {8}},
                  {"l.#.self_attn.k_proj.weight", {8, 8}},
                  {"l.#.self_attn.k_proj.bias", {8}}}),
     {{"l.1.self_attn.k_proj.bias", "enc_l1_self_bk"}, {"l.2.self_attn.q_proj.bias", "enc_l2_self_bq"}}},
    {"streams_of_a_block_by_the_word_that_one_bears",
     repeated(3, {{"b.#.img_attn.qkv.weight", {24, 8}}, {"b.#.txt_attn.qkv.weight", {24, 8}}}),
     repeated(3, {{"t.#.attn.to_q.weight", {8, 8}},
                  {"t.#.attn.to_k.weight", {8, 8}},
                  {"t.#.attn.to_v.weight", {8, 8}},
                  {"t.#.attn.add_q_proj.weight", {8, 8}},
                  {"t.#.attn.add_k_proj.weight", {8, 8}},
                  {"t.#.attn.add_v_proj.weight", {8, 8}}}),
     {{"t.0.attn.to_q.weight", "b.0.img_attn.qkv.weight"}, {"t.2.attn.add_k_proj.weight", "b.2.txt_attn.qkv.weight"}}},
    {"fused_by_arithmetic_where_the_name_tells_the_unit",
     repeated(3, {{"b.#.att_proj.weight", {24, 8}}, {"b.#.ff_proj.weight", {32, 8}}, {"b.#.ff_out.weight", {8, 16}}}),
     repeated(3, {{"l.#.self_attn.q_proj.weight", {8, 8}},
                  {"l.#.self_attn.k_proj.weight", {8, 8}},
                  {"l.#.self_attn.v_proj.weight", {8, 8}},
                  {"l.#.mlp.down_proj.weight", {8, 16}}}),
     {{"l.0.self_attn.q_proj.weight", "b.0.att_proj.weight"}, {"l.1.mlp.down_proj.weight", "b.1.ff_out.weight"}}},
    {"a_norm_goes_with_the_matrix_that_it_scales",
     {{"a.x.conv.weight", {8, 4, 3, 3}},
      {"a.x.bn.weight", {8}},
      {"a.y.conv.weight", {8, 6, 3, 3}},
      {"a.y.bn.weight", {8}}},
     {{"b.p.conv.weight", {8, 6, 3, 3}},
      {"b.p.bn.weight", {8}},
      {"b.q.conv.weight", {8, 4, 3, 3}},
      {"b.q.bn.weight", {8}}},
     {{"b.p.bn.weight", "a.y.bn.weight"}, {"b.q.bn.weight", "a.x.bn.weight"}}},
    {"a_block_that_lost_much_is_still_itself",
     repeated(2, {{"h.#.attn.wq.weight", {8, 8}}, {"h.#.mlp.fc1.weight", {32, 8}}, {"h.#.ln_1.weight", {8}}},
              {{"h.2.attn.wq.weight", {8, 8}},
               {"h.2.ln_1.weight", {8}},
               {"h.3.attn.wq.weight", {8, 8}},
               {"h.3.mlp.fc1.weight", {32, 8}},
               {"h.3.ln_1.weight", {8}}}),
     repeated(4, {{"l.#.attn.q_proj.weight", {8, 8}}, {"l.#.mlp.up_proj.weight", {32, 8}}, {"l.#.norm1.weight", {8}}}),
     {{"l.2.attn.q_proj.weight", "h.2.attn.wq.weight"},
      {"l.3.mlp.up_proj.weight", "h.3.mlp.fc1.weight"},
      {"l.2.mlp.up_proj.weight", ""}}},
    {"two_of_a_kind_without_a_telling_name_stay_open",
     {{"alpha.weight", {8, 4}}, {"beta_x.weight", {8, 4}}},
     {{"first.weight", {8, 4}}, {"second.weight", {8, 4}}},
     {{"first.weight", ""}, {"second.weight", ""}}},
    {"extra_modules_of_both_sides_are_not_each_other",
     repeated(4,
              {{"h.#.attn.wq.weight", {8, 8}},
               {"h.#.attn.wo.weight", {8, 8}},
               {"h.#.mlp.fc1.weight", {16, 8}},
               {"h.#.mlp.fc2.weight", {8, 16}},
               {"h.#.ln_1.weight", {8}},
               {"h.#.ln_2.weight", {8}}},
              {{"h.2.attn.queue.weight", {8, 8}}}),
     repeated(4,
              {{"l.#.attn.q_proj.weight", {8, 8}},
               {"l.#.attn.o_proj.weight", {8, 8}},
               {"l.#.mlp.up_proj.weight", {16, 8}},
               {"l.#.mlp.down_proj.weight", {8, 16}},
               {"l.#.norm1.weight", {8}},
               {"l.#.norm2.weight", {8}}},
              {{"l.2.attn.adapter.weight", {8, 8}}}),
     {{"l.2.attn.adapter.weight", ""},
      {"l.2.attn.o_proj.weight", "h.2.attn.wo.weight"},
      {"l.1.mlp.down_proj.weight", "h.1.mlp.fc2.weight"}}},
    {"what_one_block_alone_has_fills_no_place_that_all_have",
     repeated(4,
              {{"h.#.attn.wq.weight", {8, 8}},
               {"h.#.attn.wk.weight", {8, 8}},
               {"h.#.mlp.fc1.weight", {16, 8}},
               {"h.#.ln_1.weight", {8}},
               {"h.#.ln_2.weight", {8}}},
              {{"h.4.attn.wq.weight", {8, 8}},
               {"h.4.attn.wk.weight", {8, 8}},
               {"h.4.mlp.fc1.weight", {16, 8}},
               {"h.4.ln_1.weight", {8}},
               {"h.4.mlp.side.weight", {8}}}),
     repeated(5, {{"l.#.attn.q_proj.weight", {8, 8}},
                  {"l.#.attn.k_proj.weight", {8, 8}},
                  {"l.#.mlp.up_proj.weight", {16, 8}},
                  {"l.#.norm1.weight", {8}},
                  {"l.#.norm2.weight", {8}}}),
     {{"l.4.norm2.weight", ""}, {"l.4.norm1.weight", "h.4.ln_1.weight"}, {"l.3.norm2.weight", "h.3.ln_2.weight"}}},
    {"a_norm_is_that_of_the_unit_beside_it",
     repeated(2, {{"b.#.layer.0.SelfAttention.q.weight", {8, 8}},
                  {"b.#.layer.0.layer_norm.weight", {8}},
                  {"b.#.layer.1.DenseReluDense.wi.weight", {16, 8}},
                  {"b.#.layer.1.layer_norm.weight", {8}}}),
     repeated(2, {{"l.#.attention.query.kernel", {8, 8}},
                  {"l.#.mlp.wi.kernel", {8, 16}},
                  {"l.#.pre_attention_layer_norm.scale", {8}},
                  {"l.#.pre_mlp_layer_norm.scale", {8}}}),
     {{"l.0.pre_attention_layer_norm.scale", "b.0.layer.0.layer_norm.weight"},
      {"l.1.pre_mlp_layer_norm.scale", "b.1.layer.1.layer_norm.weight"}}},
    {"a_pair_refused_in_its_block_stays_refused",
     repeated(3, {{"h.#.ln_attn.weight", {8}},
                  {"h.#.ln_mlp.weight", {8}},
                  {"h.#.attn.dense.weight", {8, 8}},
                  {"h.#.mlp.fc1.weight", {16, 8}}}),
     repeated(3, {{"blk.#.attn_norm.weight", {8}},
                  {"blk.#.attn_norm_2.weight", {8}},
                  {"blk.#.attn_output.weight", {8, 8}},
                  {"blk.#.ffn_up.weight", {16, 8}}}),
     {{"blk.0.attn_norm.weight", ""}, {"blk.1.attn_norm_2.weight", ""}}},
    {"gate_and_up_of_all_experts_in_one",
     repeated(2, {{"l.#.attn.wq.weight", {8, 8}},
                  {"l.#.experts.0.w1.weight", {4, 8}},
                  {"l.#.experts.1.w1.weight", {4, 8}},
                  {"l.#.experts.0.w2.weight", {8, 4}},
                  {"l.#.experts.1.w2.weight", {8, 4}},
                  {"l.#.experts.0.w3.weight", {4, 8}},
                  {"l.#.experts.1.w3.weight", {4, 8}}}),
     repeated(2, {{"b.#.attn.wq.weight", {8, 8}},
                  {"b.#.mlp.experts.gate_up_proj", {2, 8, 8}},
                  {"b.#.mlp.experts.down_proj", {2, 8, 4}}}),
     {{"b.1.mlp.experts.gate_up_proj",
       "l.1.experts.0.w1.weight+l.1.experts.0.w3.weight+l.1.experts.1.w1.weight+l.1.experts.1.w3.weight"},
      {"b.0.mlp.experts.down_proj", "l.0.experts.0.w2.weight+l.0.experts.1.w2.weight"}}},
    {"numbers_skip_what_is_of_another_kind",
     {{"mid.0.conv.weight", {8, 8, 3, 3}},
      {"mid.0.norm.weight", {8}},
      {"mid.1.attn.q.weight", {6, 6}},
      {"mid.1.attn.k.weight", {6, 6}},
      {"mid.2.conv.weight", {8, 8, 3, 3}},
      {"mid.2.norm.weight", {8}}},
     {{"middle.resnets.0.conv.weight", {8, 8, 3, 3}},
      {"middle.resnets.0.norm.weight", {8}},
      {"middle.resnets.1.conv.weight", {8, 8, 3, 3}},
      {"middle.resnets.1.norm.weight", {8}}},
     {{"middle.resnets.1.conv.weight", "mid.2.conv.weight"}, {"middle.resnets.0.norm.weight", "mid.0.norm.weight"}}},
    {"blocks_that_their_sizes_identify_need_no_numbers",
     {{"m.0.a.weight", {4, 3}},
      {"m.0.b.weight", {5, 4}},
      {"m.0.norm.weight", {4}},
      {"m.3.a.weight", {6, 5}},
      {"m.3.b.weight", {7, 6}},
      {"m.3.norm.weight", {6}},
      {"m.4.a.weight", {9, 7}},
      {"m.4.b.weight", {11, 9}},
      {"m.4.norm.weight", {9}},
      {"m.8.a.weight", {13, 3}},
      {"m.8.b.weight", {5, 13}},
      {"m.8.norm.weight", {13}}},
     {{"s.1.c.weight", {4, 3}},
      {"s.1.d.weight", {5, 4}},
      {"s.1.ln.weight", {4}},
      {"s.2.c.weight", {9, 7}},
      {"s.2.d.weight", {11, 9}},
      {"s.2.ln.weight", {9}}},
     {{"s.2.c.weight", "m.4.a.weight"}, {"s.1.ln.weight", "m.0.norm.weight"}}},
    {"the_phrase_nearer_to_the_tensor_names_the_table",
     {{"token_and_position_embedding/token_embedding/embeddings", {9, 8}},
      {"token_and_position_embedding/position_embedding/embeddings", {9, 8}}},
     {{"embeddings.position_embeddings.weight", {9, 8}}, {"embeddings.word_embeddings.weight", {9, 8}}},
     {{"embeddings.word_embeddings.weight", "token_and_position_embedding/token_embedding/embeddings"},
      {"embeddings.position_embeddings.weight", "token_and_position_embedding/position_embedding/embeddings"}}},
    {"a_list_whose_ends_were_changed_on_both_sides_is_not_reversed",
     repeated(5, {{"h.#.wq.weight", {8, 8}}, {"h.#.fc1.weight", {16, 8}}, {"h.#.ln.weight", {8}}},
              {{"h.1.memory.weight", {8, 8}}, {"h.4.queue.weight", {64, 16}}}),
     repeated(5, {{"l.#.q_proj.weight", {8, 8}}, {"l.#.up_proj.weight", {16, 8}}, {"l.#.norm.weight", {8}}},
              {{"l.3.extra.weight", {8}}, {"l.0.fuse.weight", {64, 16}}}),
     {{"l.1.q_proj.weight", ""}, {"l.3.up_proj.weight", ""}, {"l.0.fuse.weight", ""}}},
    {"a_row_numbered_anew_goes_by_order",
     {{"0.weight", {8, 8}}, {"2.weight", {8, 8}}, {"4.weight", {8, 8}}, {"6.weight", {8, 8}}},
     {{"0.weight", {8, 8}}, {"3.weight", {8, 8}}, {"6.weight", {8, 8}}, {"9.weight", {8, 8}}},
     {{"0.weight", "0.weight"}, {"3.weight", "2.weight"}, {"6.weight", "4.weight"}, {"9.weight", "6.weight"}}},
    {"blocks_counted_from_one_become_blocks_counted_from_zero",
     {{"e.layer.1.fc.weight", {8, 8}}, {"e.layer.2.fc.weight", {8, 8}}, {"e.layer.3.fc.weight", {8, 8}}},
     {{"e.layer.0.fc.weight", {8, 8}}, {"e.layer.1.fc.weight", {8, 8}}, {"e.layer.2.fc.weight", {8, 8}}},
     {{"e.layer.0.fc.weight", "e.layer.1.fc.weight"}, {"e.layer.2.fc.weight", "e.layer.3.fc.weight"}}},
    {"norms_put_between_convolutions_move_their_numbers",
     {{"f.0.weight", {8, 3, 3, 3}}, {"f.2.weight", {8, 8, 3, 3}}, {"f.4.weight", {8, 8, 3, 3}}},
     {{"f.0.weight", {8, 3, 3, 3}},
      {"f.1.weight", {8}},
      {"f.3.weight", {8, 8, 3, 3}},
      {"f.4.weight", {8}},
      {"f.6.weight", {8, 8, 3, 3}}},
     {{"f.0.weight", "f.0.weight"}, {"f.3.weight", "f.2.weight"}, {"f.6.weight", "f.4.weight"}, {"f.1.weight", ""}}},
    {"a_row_that_only_lost_blocks_keeps_its_numbers",
     repeated(4, {{"h.#.fc.weight", {8, 8}}}),
     {{"h.0.fc.weight", {8, 8}}, {"h.2.fc.weight", {8, 8}}},
     {{"h.0.fc.weight", "h.0.fc.weight"}, {"h.2.fc.weight", "h.2.fc.weight"}}},
    {"a_matrix_is_not_turned_beside_one_that_is_not",
     repeated(2, {{"b.#.ff.w1.weight", {64, 32}}, {"b.#.ff.w2.weight", {32, 64}}, {"b.#.ff.w3.weight", {64, 32}}}),
     repeated(2, {{"b.#.ff.l1.weight", {64, 32}}, {"b.#.ff.l2.weight", {64, 32}}, {"b.#.ff.l3.weight", {32, 64}}}),
     {{"b.0.ff.l2.weight", ""}, {"b.0.ff.l3.weight", ""}}},
    {"a_head_for_other_classes_stays_open",
     {{"stem.conv.weight", {8, 3, 3, 3}}, {"fc.weight", {10, 8}}},
     {{"embedder.convolution.weight", {8, 3, 3, 3}}, {"classifier.weight", {5, 8}}},
     {{"embedder.convolution.weight", "stem.conv.weight"}, {"classifier.weight", ""}}},
};

class Traps : public testing::TestWithParam<Trap> {};

TEST_P(Traps, AreAvoided) {
  const auto found = applied(GetParam().source, GetParam().target);
  for (const auto& [to, from] : GetParam().expected) {
    const auto at = found.find(to);
    EXPECT_EQ(at == found.end() ? "" : at->second, from) << to;
  }
}

INSTANTIATE_TEST_SUITE_P(Schemes, Traps, testing::ValuesIn(kTraps), [](const auto& row) { return row.param.name; });

How how_of(const Rows& source, const Rows& target, const std::string& to, bool* apply = nullptr) {
  const Listing a = listing_of(source), b = listing_of(target);
  for (const Match& match : match(a, b).matches)
    if (b.tensors[match.to].name == to) {
      if (apply != nullptr) *apply = match.apply;
      return match.how;
    }
  return How::Identical;
}

TEST(Orientation, SquareMatricesFollowTheirSiblings) {
  const Rows source = repeated(2, {{"h.#.attn.c_proj.weight", {8, 8}}, {"h.#.mlp.c_fc.weight", {8, 32}}});
  const Rows turned = repeated(2, {{"l.#.attn.out_proj.weight", {8, 8}}, {"l.#.mlp.fc1.weight", {32, 8}}});
  EXPECT_EQ(how_of(source, turned, "l.0.attn.out_proj.weight"), How::Transpose);
  const Rows same = repeated(2, {{"l.#.attn.out_proj.weight", {8, 8}}, {"l.#.mlp.fc1.weight", {8, 32}}});
  EXPECT_EQ(how_of(source, same, "l.0.attn.out_proj.weight"), How::Rename);
}

TEST(Orientation, IsAmbiguousWithoutSiblings) {
  bool apply = true;
  how_of({{"dense/kernel", {8, 8}}, {"dense/bias", {8}}}, {{"proj.weight", {8, 8}}, {"proj.bias", {8}}}, "proj.weight",
         &apply);
  EXPECT_FALSE(apply);
}

// --- laws ------------------------------------------------------------------------------------------------------------

Rows network(std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  const std::int64_t width = 8 * pick(1, 4), inner = width * pick(2, 4);
  Rows block = {{"encoder.layers.#.self_attn.q_proj.weight", {width, width}},
                {"encoder.layers.#.self_attn.k_proj.weight", {width, width}},
                {"encoder.layers.#.self_attn.v_proj.weight", {width, width}},
                {"encoder.layers.#.self_attn.out_proj.weight", {width, width}},
                {"encoder.layers.#.fc1.weight", {inner, width}},
                {"encoder.layers.#.fc2.weight", {width, inner}},
                {"encoder.layers.#.norm1.weight", {width}},
                {"encoder.layers.#.norm2.weight", {width}}};
  if (pick(0, 1) == 1)
    for (const char* name : {"self_attn.q_proj", "fc1", "norm1", "norm2"})
      block.push_back(
          {"encoder.layers.#." + std::string(name) + ".bias", {std::string(name) == "fc1" ? inner : width}});
  return repeated(pick(2, 9), block,
                  {{"embed_tokens.weight", {100, width}}, {"norm.weight", {width}}, {"head.weight", {7, width}}});
}

/// Other words for every part, the same structure.
std::string reworded(std::string name) {
  const std::pair<const char*, const char*> words[] = {{"encoder.layers.", "transformer.h_"},
                                                       {"self_attn.", "attention."},
                                                       {"q_proj", "query"},
                                                       {"k_proj", "key"},
                                                       {"v_proj", "value"},
                                                       {"out_proj", "output.dense"},
                                                       {"fc1", "intermediate.dense"},
                                                       {"fc2", "output.dense"},
                                                       {"norm1", "ln_1"},
                                                       {"norm2", "ln_2"},
                                                       {"embed_tokens", "wte"},
                                                       {"head", "classifier"}};
  for (const auto& [from, to] : words)
    if (const auto at = name.find(from); at != std::string::npos) name.replace(at, std::string(from).size(), to);
  return name;
}

class Networks : public testing::TestWithParam<std::uint32_t> {};

TEST_P(Networks, MatchThemselvesUnderOtherWords) {
  const Rows source = network(GetParam());
  Rows target = source;
  std::map<std::string, std::string> expected;
  for (Row& row : target) {
    const std::string old = row.name;
    row.name = reworded(old);
    expected[row.name] = old;
  }
  EXPECT_EQ(applied(source, target), expected) << "seed " << GetParam();
}

TEST_P(Networks, DoNotDependOnTheOrder) {
  Rows source = network(GetParam()), target = source;
  for (Row& row : target) row.name = reworded(row.name);
  const auto before = applied(source, target);
  std::mt19937 random(GetParam() + 1);
  std::shuffle(source.begin(), source.end(), random);
  std::shuffle(target.begin(), target.end(), random);
  EXPECT_EQ(applied(source, target), before) << "seed " << GetParam();
}

TEST_P(Networks, AreNeverFilledFromWhatIsNotThere) {
  const Rows whole = network(GetParam());
  Rows source, target = whole;
  std::mt19937 random(GetParam() + 2);
  std::map<std::string, std::string> right;
  for (Row& row : target) right[reworded(row.name)] = row.name;
  for (Row& row : target) row.name = reworded(row.name);
  for (const Row& row : whole)
    if (std::uniform_int_distribution<int>(0, 9)(random) > 0) source.push_back(row);
  for (const auto& [to, from] : applied(source, target)) EXPECT_EQ(from, right[to]) << to << ", seed " << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Seeds, Networks, testing::Range(0U, 40U));

TEST(Match, TakesAnythingForAName) {
  const Rows odd = {{"", {1}},      {"...", {2}}, {"weight", {3}}, {"\xff\xfe", {4}}, {"9999999999999999999999", {5}},
                    {"a..b//c", {}}};
  EXPECT_EQ(applied(odd, odd).size(), odd.size());
  Rows other = odd;
  for (Row& row : other) row.name += "x";
  applied(odd, other);
}

// Experts one by one against experts stacked, projections against their fusion: sizes are added and multiplied.
TEST(Match, TakesAnyShapeThatASideMayHave) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max(), kHalf = std::int64_t{1} << 62;
  for (const Shape& shape :
       {Shape{kMost}, Shape{kHalf, kHalf}, Shape{2, kHalf}, Shape{kMost / 3}, Shape{3, kMost / 3}}) {
    Rows parts, wholes;
    for (const char* part : {"q", "k", "v"}) {
      parts.push_back({std::string("attn.") + part + "_proj.weight", shape});
      parts.push_back({std::string("attn.") + part + "_proj.bias", {shape[0]}});
      parts.push_back({std::string("experts.") + std::to_string(parts.size() / 3) + ".weight", {kMost / 3}});
    }
    wholes.push_back({"attn.qkv.weight", shape});
    wholes.push_back({"attn.qkv.bias", {kMost}});
    wholes.push_back({"experts.weight", {3, kMost / 3}});
    applied(parts, wholes);
    applied(wholes, parts);
    EXPECT_EQ(applied(parts, parts).size(), parts.size());
  }
}

}  // namespace
}  // namespace tenon::match
